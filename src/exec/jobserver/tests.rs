//! Servers and clients in one process, which is all that a pipe needs.

use super::*;

fn take_all(jobserver: &Jobserver) -> usize {
    std::iter::repeat_with(|| jobserver.try_take()).take_while(|taken| *taken).count()
}

fn joined(server: &Jobserver) -> Jobserver {
    let offer = Offer::of(server.flags()).expect("it offers something");
    Jobserver::join(&offer).expect("it is there")
}

#[test]
fn a_client_and_its_server_share_the_slots_and_give_them_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("slots");
    let fifo = Jobserver::fifo(4, &path).expect("a fifo");
    assert_eq!(fifo.inherited(), None);
    let pipe = Jobserver::pipe(4).expect("a pipe");
    assert!(pipe.inherited().is_some());
    for server in [&fifo, &pipe] {
        assert!(server.try_take());
        let client = joined(server);
        assert_eq!(client.flags(), server.flags(), "for all versions of make");
        assert_eq!(client.flags().split(' ').next(), Some("-j4"));
        assert_eq!(take_all(&client), 2);
        assert!(!server.try_take());
        client.give_back();
        assert!(server.try_take());
        drop(client);
        assert_eq!(take_all(server), 1, "what it had when it ended is free");
        (0..4).for_each(|_| server.give_back());
        assert_eq!(server.put_right(), 0);
    }
    assert!(path.exists());
    drop(fifo);
    assert!(!path.exists());
}

#[test]
fn lost_slots_are_put_back_and_added_ones_taken_out() {
    let server = Jobserver::pipe(5).expect("a pipe");
    let client = joined(&server);
    assert_eq!(take_all(&client), 4);
    // It is killed.
    client.taken().clear();
    drop(client);
    assert_eq!(server.put_right(), 4);
    let client = joined(&server);
    client.fill(3).expect("a pipe has room");
    assert_eq!(client.put_right(), 0, "a client does not know how many there are");
    assert_eq!((server.put_right(), take_all(&server)), (0, 4));
}

#[test]
fn one_job_is_the_one_that_everybody_has() {
    let server = Jobserver::pipe(1).expect("a pipe");
    assert!(!server.try_take() && server.put_right() == 0);
}

#[test]
fn what_is_no_pipe_is_not_joined() {
    let join = |auth| Jobserver::join(&Offer { auth, jobs: Some(2) }).map(drop);
    let file = tempfile::tempfile().expect("a file");
    let number = file.as_raw_fd();
    assert_eq!(join(Auth::Pipe([number, number])), Err(NOT_OFFERED.to_owned()));
    assert_eq!(join(Auth::Pipe([9998, 9999])), Err(NOT_OFFERED.to_owned()));
    assert_eq!(join(Auth::Withheld), Err(NOT_OFFERED.to_owned()));
    let (read, _write) = io::pipe().expect("a pipe");
    let (_read, write) = io::pipe().expect("another pipe");
    let mixed = Auth::Pipe([read.as_raw_fd(), write.as_raw_fd()]);
    assert_eq!(join(mixed), Err(NOT_OFFERED.to_owned()));
    let missing = join(Auth::Fifo("/nowhere/fifo".into())).expect_err("it is not there");
    assert!(missing.contains("`fifo:/nowhere/fifo`") && missing.contains("No such file"));
    let plain = tempfile::NamedTempFile::new().expect("a file");
    let plain = join(Auth::Fifo(plain.path().into())).expect_err("it is a file");
    assert!(plain.contains("no fifo"), "{plain}");
}

#[test]
fn a_path_that_make_would_cut_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = Jobserver::fifo(2, &folder.path().join("a b")).expect_err("a blank");
    assert!(refused.to_string().contains("MAKEFLAGS"), "{refused}");
}
