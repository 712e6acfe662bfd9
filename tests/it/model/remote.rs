//! The model against a remote store: what one project built, a fresh one and one that stands as it
//! stood a step before take from there, and execute nothing.

use super::*;
use crate::support::Fake;

/// Edits of what the tasks read, and of the tasks.
fn change() -> impl Strategy<Value = Edit> {
    let n = any::<u8>;
    prop_oneof![
        4 => (n(), n()).prop_map(|(source, content)| Edit::Write { source, content }),
        2 => n().prop_map(|source| Edit::Revert { source }),
        1 => n().prop_map(|source| Edit::Execute { source }),
        2 => n().prop_map(|to| Edit::Retarget { to }),
        2 => (n(), n()).prop_map(|(name, content)| Edit::Glob { name, content }),
        2 => (n(), n()).prop_map(|(name, content)| Edit::Data { name, content }),
        2 => n().prop_map(|task| Edit::Command { task }),
    ]
}

/// The project with all that the world has now, and what it had made itself.
fn bring_up(world: &World, project: &Project) {
    for entry in std::fs::read_dir(project.root()).expect("a readable folder").flatten() {
        if ![".reprovm", "out"].iter().any(|kept| entry.file_name() == *kept) {
            project.remove(entry.file_name());
        }
    }
    world.copy_to(project);
    project.manifest(&manifest(&world.tasks()));
}

/// Fetches, and then runs nothing, and has what the other one has.
fn takes_all(project: &Project, from: &World, what: &str) {
    let fetched = project.run(["--sync-from-remote"]);
    let run = project.json(["manifest.txt"]);
    let summary = run.success().summary();
    let context = || {
        format!(
            "{what}\n{}\n{}\n{}",
            project.read("manifest.txt"),
            fetched.transcript(),
            run.transcript()
        )
    };
    assert!(fetched.code == Some(0) && summary.executed == 0, "{}", context());
    assert_same_tree(&project.tree(), &from.project.tree());
}

fn holds(nodes: Vec<Node>, steps: &[Vec<Edit>], restored: &Cell<usize>) {
    let fake = Fake::new();
    let url = ("REPROVM_REMOTE_CAS_URL", fake.url());
    let mut world = World::new(nodes);
    world.project.env(url.0, &url.1);
    let mut follower = Project::new();
    follower.env(url.0, &url.1);
    for (at, edits) in steps.iter().enumerate() {
        let what = format!("step {at}: {edits:?}");
        for edit in edits {
            world.apply(edit);
        }
        world.project.manifest(&manifest(&world.tasks()));
        world.project.run(["--sync-to-remote", "manifest.txt"]).success();
        let mut fresh = Project::new();
        fresh.env(url.0, &url.1);
        for (project, who) in [(&fresh, "fresh"), (&follower, "follower")] {
            bring_up(&world, project);
            takes_all(project, &world, &format!("{who}, {what}"));
        }
        add(restored, fresh.tree().len());
    }
}

#[test]
fn what_a_random_project_built_others_take_from_a_remote_store() {
    let case = (
        prop::collection::vec(node(), 4..=14),
        prop::collection::vec(prop::collection::vec(change(), 0..=3), 3),
    );
    let config = Config {
        cases: 4 * (long() * 10).max(1),
        failure_persistence: None,
        max_shrink_iters: 150,
        ..Config::default()
    };
    let seed = std::env::var("REPROVM_TEST_SEED").map_or(0, |text| text.parse().expect("a number"));
    let mut bytes = [77; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let restored = Cell::new(0);
    let outcome = TestRunner::new_with_rng(config, rng).run(&case, |(nodes, steps)| {
        holds(nodes, &steps, &restored);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("REPROVM_TEST_SEED={seed}: {failure}");
    }
    assert!(restored.get() > 100, "hardly anything was there to be taken");
}
