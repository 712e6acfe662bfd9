//! The value alone, with a clock and measurements of the test's own.

use proptest::prelude::*;

use super::measure::Busy;
use super::*;
use crate::base::clock;

fn no_slot() -> impl FnMut() -> bool {
    || false
}

fn any_slot() -> impl FnMut() -> bool {
    || true
}

/// Decides with nothing measured and slots without end.
fn next(admission: &mut Admission) -> Next {
    admission.next(clock::instant(), &Measured::default(), &mut any_slot())
}

fn waits_for(next: &Next) -> Option<Limit> {
    match next {
        Next::Wait { why, .. } => Some(why.limit),
        _ => None,
    }
}

const UNMEASURED: Next = Next::WaitToMeasure { limit: Limit::Cpu, again: MEASURE_BEAT };

fn memory(ceiling: u64) -> Admission {
    Admission::new(Limits { memory: Some(ceiling), ..Limits::default() }, 4)
}

#[test]
fn without_limits_all_start_in_their_order() {
    let mut admission = Admission::new(Limits::default(), 4);
    for slot in [2, 0, 1] {
        admission.ask(slot, 0);
    }
    for slot in [2, 0, 1] {
        assert_eq!(next(&mut admission), Next::Start(slot));
    }
    assert_eq!((next(&mut admission), admission.running()), (Next::Nothing, 3));
}

#[test]
fn the_first_command_needs_no_slot_and_the_others_do() {
    let mut admission = Admission::new(Limits::default(), 4);
    admission.ask(0, 0);
    admission.ask(1, 0);
    let now = clock::instant();
    let look =
        |admission: &mut Admission| admission.next(now, &Measured::default(), &mut no_slot());
    assert_eq!(look(&mut admission), Next::Start(0));
    assert_eq!(look(&mut admission), Next::WaitForSlot { again: SLOT_BEAT });
    admission.left(0);
    assert_eq!(look(&mut admission), Next::Start(1));
}

#[test]
fn what_would_exceed_the_memory_waits_and_so_do_those_behind_it() {
    let mut admission = memory(100);
    admission.ask(0, 60);
    admission.ask(1, 60);
    admission.ask(2, 10);
    assert_eq!(next(&mut admission), Next::Start(0));
    let waiting = next(&mut admission);
    assert_eq!(
        waiting,
        wait(Held { limit: Limit::Memory, measured: 120, ceiling: 100 }, MEASURE_BEAT)
    );
    admission.left(0);
    assert_eq!(next(&mut admission), Next::Start(1));
    assert_eq!(next(&mut admission), Next::Start(2), "70 of 100");
}

#[test]
fn a_task_larger_than_all_of_the_memory_runs_alone() {
    let mut admission = memory(100);
    admission.ask(0, 10);
    admission.ask(1, 500);
    admission.ask(2, 10);
    assert_eq!(next(&mut admission), Next::Start(0));
    assert_eq!(waits_for(&next(&mut admission)), Some(Limit::Memory));
    admission.left(0);
    assert_eq!(next(&mut admission), Next::Start(1));
    assert_eq!(waits_for(&next(&mut admission)), Some(Limit::Memory));
    admission.left(1);
    assert_eq!(next(&mut admission), Next::Start(2));
}

#[test]
fn what_is_used_counts_where_it_is_more_than_what_was_expected() {
    let mut admission = memory(100);
    admission.ask(0, 10);
    admission.ask(1, 10);
    assert_eq!(next(&mut admission), Next::Start(0));
    let measured = Measured { memory: 95, ..Measured::default() };
    let held = admission.next(clock::instant(), &measured, &mut any_slot());
    assert_eq!(waits_for(&held), Some(Limit::Memory));
}

#[test]
fn a_busy_machine_holds_back_all_but_one() {
    let mut admission = Admission::new(Limits { cpu_percent: Some(80), ..Limits::default() }, 4);
    let reading =
        |number, percent| Measured { cpu: Some(Busy { percent, number }), ..Measured::default() };
    let look = |admission: &mut Admission, measured: &Measured| {
        admission.next(clock::instant(), measured, &mut any_slot())
    };
    for slot in 0..6 {
        admission.ask(slot, 0);
    }
    assert_eq!(look(&mut admission, &Measured::default()), Next::Start(0));
    let unmeasured = look(&mut admission, &Measured::default());
    assert_eq!(unmeasured, UNMEASURED);
    assert_eq!(waits_for(&look(&mut admission, &reading(1, 80))), Some(Limit::Cpu));
    // Two of four cores are free up to the ceiling: two may start until it is measured again.
    assert_eq!(look(&mut admission, &reading(2, 30)), Next::Start(1));
    assert_eq!(look(&mut admission, &reading(2, 30)), Next::Start(2));
    assert_eq!(waits_for(&look(&mut admission, &reading(2, 30))), None);
    assert_eq!(look(&mut admission, &reading(2, 30)), UNMEASURED);
    // A little room is room for one.
    assert_eq!(look(&mut admission, &reading(3, 79)), Next::Start(3));
    assert_eq!(look(&mut admission, &reading(3, 79)), UNMEASURED);
    // What has ended since keeps no core busy.
    admission.left(3);
    assert_eq!(look(&mut admission, &reading(3, 79)), Next::Start(4));
}

#[test]
fn nothing_is_busier_than_a_whole_machine() {
    let mut admission = Admission::new(Limits { cpu_percent: Some(100), ..Limits::default() }, 2);
    let measured = Measured { cpu: Some(Busy { percent: 100, number: 1 }), ..Measured::default() };
    for slot in 0..3 {
        admission.ask(slot, 0);
        let next = admission.next(clock::instant(), &measured, &mut any_slot());
        assert_eq!(next, Next::Start(slot));
    }
}

#[test]
fn a_full_disk_is_waited_for_while_something_runs_and_then_given_up() {
    let mut admission = Admission::new(Limits { disk_percent: Some(90), ..Limits::default() }, 4);
    let with = |percent| {
        let full = Full { path: "/d".into(), percent, ceiling: 90 };
        Measured { fullest: Some(full), ..Measured::default() }
    };
    let look = |admission: &mut Admission, percent| {
        admission.next(clock::instant(), &with(percent), &mut any_slot())
    };
    admission.ask(0, 0);
    admission.ask(1, 0);
    assert_eq!(look(&mut admission, 90), Next::Start(0));
    assert_eq!(waits_for(&look(&mut admission, 91)), Some(Limit::Disk));
    admission.left(0);
    assert!(matches!(look(&mut admission, 91), Next::Never(full) if full.percent == 91));
    assert_eq!(admission.send_away(), [1]);
    assert_eq!(look(&mut admission, 91), Next::Nothing);
}

proptest! {
    /// Tasks of any size ask and end in any order: what is expected of those that run together
    /// never exceeds the memory, but for one alone, and all have their turn in their order.
    #[test]
    fn the_memory_is_kept_and_none_starves(
        sizes in prop::collection::vec(0_u64..150, 1..60),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 200),
    ) {
        let mut admission = memory(100);
        for (slot, size) in sizes.iter().enumerate() {
            admission.ask(slot, *size);
        }
        let mut running: Vec<usize> = Vec::new();
        let mut started = Vec::new();
        for choice in choices {
            while let Next::Start(slot) = next(&mut admission) {
                running.push(slot);
                started.push(slot);
                let sum: u64 = running.iter().map(|slot| sizes[*slot]).sum();
                prop_assert!(sum <= 100 || running.len() == 1, "{sum} of {running:?}");
            }
            if running.is_empty() {
                break;
            }
            let slot = running.swap_remove(choice.index(running.len()));
            admission.left(slot);
        }
        prop_assert_eq!(started, (0..sizes.len()).collect::<Vec<_>>());
    }
}
