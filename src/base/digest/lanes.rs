//! SHA-256 of two messages at once, in one thread.
//!
//! Each step of the hash waits for the one before it, and a processor with instructions for it
//! idles half of the time. The steps of a second message fill the gaps.

use sha2::block_api::compress256;

/// What the hash function works on.
pub(super) type Block = [u8; 64];
pub(super) type State = [u32; 8];

/// Before the first block (FIPS 180-4, 5.3.3).
pub(super) const FIRST: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Takes one message further.
pub(super) fn compress(state: &mut State, blocks: &[Block]) {
    compress256(state, blocks);
}

/// Takes two messages further, as far as each has blocks.
pub(super) fn compress_two(states: [&mut State; 2], blocks: [&[Block]; 2]) {
    let [one, two] = states;
    let both = blocks[0].len().min(blocks[1].len());
    let (ones, one_rest) = blocks[0].split_at(both);
    let (twos, two_rest) = blocks[1].split_at(both);
    #[cfg(target_arch = "x86_64")]
    if x86::is_there() {
        // SAFETY: the processor has the instructions.
        unsafe { x86::compress_two([&mut *one, &mut *two], ones, twos) };
        compress(one, one_rest);
        compress(two, two_rest);
        return;
    }
    compress(one, ones);
    compress(two, twos);
    compress(one, one_rest);
    compress(two, two_rest);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::is_x86_feature_detected;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi8, _mm_set_epi32,
        _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32,
        _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    use super::{Block, State};

    /// The constants of the rounds (FIPS 180-4, 4.2.2).
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1")
    }

    /// One message between two rounds: its variables as the instructions want them (a, b, e, f and
    /// c, d, g, h, the first in the highest place), and the last sixteen words.
    #[derive(Clone, Copy)]
    struct Lane {
        abef: __m128i,
        cdgh: __m128i,
        words: [__m128i; 4],
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub(super) fn compress_two(states: [&mut State; 2], ones: &[Block], twos: &[Block]) {
        let mut lanes = [enter(states[0]), enter(states[1])];
        for blocks in ones.iter().zip(twos) {
            let before = lanes;
            load(&mut lanes[0], blocks.0);
            load(&mut lanes[1], blocks.1);
            for (at, constants) in ROUNDS[..4].iter().enumerate() {
                let constants = vector(*constants);
                for lane in &mut lanes {
                    let words = lane.words[at];
                    rounds(lane, words, constants);
                }
            }
            for turn in 1..4 {
                for at in 0..4 {
                    let constants = vector(ROUNDS[turn * 4 + at]);
                    for lane in &mut lanes {
                        let words = next_words(lane, at);
                        lane.words[at] = words;
                        rounds(lane, words, constants);
                    }
                }
            }
            for (lane, before) in lanes.iter_mut().zip(&before) {
                lane.abef = _mm_add_epi32(lane.abef, before.abef);
                lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
            }
        }
        let [one, two] = states;
        leave(one, &lanes[0]);
        leave(two, &lanes[1]);
    }

    /// Four rounds.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn rounds(lane: &mut Lane, words: __m128i, constants: __m128i) {
        let sum = _mm_add_epi32(words, constants);
        lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
        lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(sum, 0x0e));
    }

    /// The four words that follow the last sixteen, of which those at `at` are the oldest.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn next_words(lane: &Lane, at: usize) -> __m128i {
        let word = |past: usize| lane.words[(at + past) % 4];
        let sum = _mm_add_epi32(
            _mm_sha256msg1_epu32(word(0), word(1)),
            _mm_alignr_epi8(word(3), word(2), 4),
        );
        _mm_sha256msg2_epu32(sum, word(3))
    }

    /// The words of a block stand in it with the highest byte first.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn load(lane: &mut Lane, block: &Block) {
        let turned = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
        for (words, bytes) in lane.words.iter_mut().zip(block.as_chunks::<16>().0) {
            *words = _mm_shuffle_epi8(bytemuck::pod_read_unaligned(bytes), turned);
        }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn vector(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        _mm_set_epi32(d, c, b, a)
    }

    #[target_feature(enable = "sse2")]
    fn enter(state: &State) -> Lane {
        let [a, b, c, d, e, f, g, h] = *state;
        let words = [_mm_setzero_si128(); 4];
        Lane { abef: vector([f, e, b, a]), cdgh: vector([h, g, d, c]), words }
    }

    #[target_feature(enable = "sse2,sse4.1")]
    fn leave(state: &mut State, lane: &Lane) {
        let Lane { abef, cdgh, .. } = *lane;
        *state = [
            _mm_extract_epi32(abef, 3),
            _mm_extract_epi32(abef, 2),
            _mm_extract_epi32(cdgh, 3),
            _mm_extract_epi32(cdgh, 2),
            _mm_extract_epi32(abef, 1),
            _mm_extract_epi32(abef, 0),
            _mm_extract_epi32(cdgh, 1),
            _mm_extract_epi32(cdgh, 0),
        ]
        .map(i32::cast_unsigned);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(seed: u8, count: usize) -> Vec<Block> {
        (0..count).map(|at| std::array::from_fn(|i| (i * 7 + at * 13) as u8 ^ seed)).collect()
    }

    proptest! {
        #[test]
        fn two_at_once_are_as_one_after_the_other(
            first in any::<State>(),
            second in any::<State>(),
            seeds in any::<(u8, u8)>(),
            counts in (0_usize..20, 0_usize..20),
        ) {
            let (ones, twos) = (blocks(seeds.0, counts.0), blocks(seeds.1, counts.1));
            let (mut one, mut two) = (first, second);
            compress_two([&mut one, &mut two], [&ones, &twos]);
            let (mut alone, mut other) = (first, second);
            compress(&mut alone, &ones);
            compress(&mut other, &twos);
            prop_assert_eq!((one, two), (alone, other));
        }
    }
}
