//! Each codec by itself: what goes in comes out, and nothing else does.

use std::io::{Cursor, Read as _};

use proptest::prelude::*;

use super::decode::MAX_RATIO;
use super::*;

const PACKED: [Algorithm; 4] = [Algorithm::Zlib, Algorithm::Gzip, Algorithm::Lz4, Algorithm::Zstd];

/// All of it, or what is wrong.
fn unpack(form: Form, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let stored = bytes.len() as u64;
    let mut decoder = Decoder::new(form, Cursor::new(bytes), stored)?;
    decoder.read_to_end(&mut all)?;
    assert_eq!(decoder.read(&mut [0])?, 0, "its end is one for whoever asks again");
    Ok(all)
}

fn packed(algorithm: Algorithm, level: u64, bytes: &[u8]) -> Vec<u8> {
    let packing = Packing::new(algorithm, level);
    let length = bytes.len() as u64;
    let written = packing.write(Vec::new(), length, |out| out.write_all(bytes));
    written.expect("room in memory")
}

/// Some words, so that there is something to save and not all of it.
fn text(length: usize) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(length + 32);
    for at in 0_u64.. {
        if text.len() >= length {
            break;
        }
        writeln!(text, "{} word {at}", at * at % 1009).expect("room in memory");
    }
    text.truncate(length);
    text.into_bytes()
}

/// Bytes in which nothing can be saved.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn each_codec_at_each_level_gives_back_what_it_was_given() {
    for bytes in [Vec::new(), text(1), text(5000), noise(5000), text(300_000)] {
        for algorithm in PACKED {
            for level in [1, 6, 12] {
                let packing = Packing::new(algorithm, level);
                let there = packed(algorithm, level, &bytes);
                let back = unpack(packing.form(), &there).expect("what was packed");
                assert!(back == bytes, "{algorithm:?} {level} {}", bytes.len());
            }
        }
    }
}

#[test]
fn a_higher_level_makes_a_smaller_file() {
    let bytes = include_bytes!("../../../ARCHITECTURE.md");
    for algorithm in [Algorithm::Zlib, Algorithm::Gzip, Algorithm::Zstd] {
        let sizes = [1, 12].map(|level| packed(algorithm, level, bytes).len());
        assert!(sizes[1] < sizes[0], "{algorithm:?}: {sizes:?}");
    }
}

/// A changed byte may stand where no tool looks, such as in the time of a gzip header.
#[test]
fn no_changed_bit_gives_other_bytes_unnoticed_by_the_digest() {
    let bytes = text(900);
    for algorithm in PACKED {
        let form = Packing::new(algorithm, 3).form();
        let good = packed(algorithm, 3, &bytes);
        let mut unseen = 0;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            if let Ok(back) = unpack(form, &bad) {
                assert!(back == bytes, "{algorithm:?}: byte {at}");
                unseen += 1;
            }
        }
        assert!(unseen < 12, "{algorithm:?}: {unseen} changes were not seen");
    }
}

#[test]
fn what_is_cut_or_followed_by_anything_is_no_object() {
    for bytes in [text(3000), text(300_000)] {
        for algorithm in PACKED {
            let form = Packing::new(algorithm, 3).form();
            let good = packed(algorithm, 3, &bytes);
            let step = 1 + good.len() / 60;
            let ends =
                (0..good.len()).step_by(step).chain(good.len().saturating_sub(12)..good.len());
            for end in ends {
                assert!(unpack(form, &good[..end]).is_err(), "{algorithm:?}: cut at {end}");
            }
            for more in [&b"x"[..], b"\0", b"trailing words", &good] {
                let longer = [&good[..], more].concat();
                let read = unpack(form, &longer);
                // Two frames are one stream to zstd; the digest tells them from one.
                let doubled = read.is_ok_and(|back| back.len() == 2 * bytes.len());
                assert!(!doubled || (form == Form::Zstd && more == good), "{algorithm:?}");
                let is_whole = unpack(form, &longer).is_ok_and(|back| back == bytes);
                assert!(!is_whole, "{algorithm:?}: {} bytes behind it", more.len());
            }
        }
    }
}

#[test]
fn a_bomb_ends_where_an_honest_object_could_not_be() {
    // Made without what an encoder of ours adds.
    let zeros = vec![0; 64 << 20];
    let bomb = zstd::bulk::compress(&zeros, 1).expect("room in memory");
    assert!((bomb.len() as u64) < zeros.len() as u64 / MAX_RATIO / 4, "{}", bomb.len());
    let mut decoder =
        Decoder::new(Form::Zstd, Cursor::new(&bomb[..]), bomb.len() as u64).expect("a decoder");
    let mut given = 0;
    let mut buffer = vec![0; 1 << 16];
    let error = loop {
        match decoder.read(&mut buffer) {
            Ok(0) => panic!("all of the bomb was read"),
            Ok(count) => given += count as u64,
            Err(error) => break error,
        }
    };
    assert!(given <= bomb.len() as u64 * MAX_RATIO, "{given}");
    assert!(error.to_string().contains("2048 times"), "{error}");
    // The same data by us is larger, and read.
    let honest = packed(Algorithm::Zstd, 1, &zeros);
    assert!(unpack(Form::Zstd, &honest).expect("an honest object") == zeros);
}

#[test]
fn a_window_larger_than_ours_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(27).expect("a window");
    encoder.write_all(&noise(1000)).expect("room in memory");
    let large = encoder.finish().expect("room in memory");
    assert!(unpack(Form::Zstd, &large).is_err());
}

#[test]
fn what_does_not_shrink_is_stored_bare() {
    for algorithm in PACKED {
        let packing = Packing::new(algorithm, 3);
        assert!(packing.pack(&noise(200)).is_none() && packing.pack(&noise(1 << 20)).is_none());
        assert!(packing.pack(&text(127)).is_none(), "it is too short");
        for bytes in [text(1000), text(1 << 20)] {
            let there = packing.pack(&bytes).expect("words shrink");
            assert!(there.len() < bytes.len() * 7 / 8);
        }
    }
    assert!(Packing::BARE.pack(&text(1 << 20)).is_none());
}

#[test]
fn a_sample_sees_the_parts_of_a_file_that_do_not_shrink() {
    let is_worth = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        Packing::new(Algorithm::Zstd, 3).is_worth(&file, bytes.len() as u64)
    };
    assert!(is_worth(&text(2 << 20)));
    assert!(!is_worth(&noise(2 << 20)));
    assert!(!is_worth(&[text(100_000), noise(3 << 20)].concat()), "a head that shrinks");
    assert!(is_worth(&[text(2 << 20), noise(1 << 20)].concat()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_bytes_are_they_come_back(
        parts in prop::collection::vec((any::<u8>(), 1usize..4000, any::<bool>()), 0..40),
        algorithm in prop::sample::select(&PACKED[..]),
        level in 1u64..=12,
    ) {
        let part = |&(byte, length, even): &(u8, usize, bool)| {
            if even { vec![byte; length] } else { noise(length) }
        };
        let bytes: Vec<u8> = parts.iter().flat_map(part).collect();
        let packing = Packing::new(algorithm, level);
        let there = packed(algorithm, level, &bytes);
        prop_assert!(unpack(packing.form(), &there).expect("what was packed") == bytes);
        if let Some(kept) = packing.pack(&bytes) {
            prop_assert!(kept.len() * 8 <= bytes.len() * 7);
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        head in prop::sample::select(&PACKED[..]),
        keep in 0usize..20,
    ) {
        let good = packed(head, 3, &text(1000));
        let form = Packing::new(head, 3).form();
        let _ = unpack(form, &bytes);
        let _ = unpack(form, &[&good[..keep], &bytes].concat());
    }
}
