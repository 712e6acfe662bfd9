//! Control groups by version 2, on a real kernel that is all ours: who keeps the limits, what
//! becomes of tasks that reach them, and that groups are left as they were found.

use crate::support::in_a_machine;

/// Says in which group it is, and what is set for the group above, which is the run's.
const SHOW: &str = "cat > show.txt <<'END'
task show {
  cmd = G=/sys/fs/cgroup$(sed 's/0:://' /proc/self/cgroup); echo \"in $G\"; cat $G/../memory.max $G/../cpu.max | sed 's/^/set: /'
}
END
";
const LIMITS: &str = "--max-memory 64 --max-cpu 50";

/// All of it in a machine where groups may have both controllers.
fn said(script: &str) -> Option<String> {
    let script = format!("{SHOW}{script}");
    in_a_machine(&script).inspect(|said| assert!(!said.contains("panicked"), "{said}"))
}

/// A group `name`, in which the shell that runs `command` is, alone if the command replaces it.
fn in_group(name: &str, command: &str) -> String {
    let group = format!("/sys/fs/cgroup/{name}");
    format!("mkdir -p {group}\nsh -c 'echo 0 > {group}/cgroup.procs; {command}'\n")
}

/// The groups that there are, and what those of `name` are controlled by.
const GROUPS: &str = "echo groups: $(find /sys/fs/cgroup -mindepth 1 -type d)
echo controlled: $(cat /sys/fs/cgroup/service/cgroup.subtree_control)\n";

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
}

#[test]
fn in_the_group_of_all_processes_the_kernel_keeps_both_limits_and_nothing_is_left() {
    let limits = format!("reprovm show.txt -o json {LIMITS}\n");
    let health = format!("reprovm health {LIMITS}\n");
    let throttled = "cat > busy.txt <<'END'
task busy {
  cmd = G=/sys/fs/cgroup$(sed 's/0:://' /proc/self/cgroup); until grep -q 'nr_throttled [1-9]' $G/../cpu.stat; do :; done; echo was throttled
}
END
reprovm busy.txt --max-cpu 20\n";
    let Some(said) = said(&(limits + &health + throttled + GROUPS)) else { return };
    assert_has(
        &said,
        &[
            r#"{"limit":"cpu","ceiling":50,"by":"control_group"}"#,
            r#"{"limit":"memory","ceiling":67108864,"by":"control_group"}"#,
            r#""output":"in /sys/fs/cgroup/reprovm-"#,
            r"set: 67108864\nset: 50000 100000\n",
            "`max_memory_mb` is kept by a control group",
            "`max_cpu_percent` is kept by a control group",
            "\nwas throttled\n",
            "\ngroups:\n",
        ],
    );
}

#[test]
fn a_task_that_takes_more_memory_than_all_may_is_killed_told_and_may_be_tried_again() {
    let script = format!(
        "cat > eat.txt <<'END'
task eat {{
  cmd = dd if=/dev/zero of=/dev/null bs=200M count=1
}}
END
reprovm eat.txt --max-memory 64; echo code $?
reprovm eat.txt --max-memory 400; echo code $?
{GROUPS}"
    );
    let Some(said) = said(&script) else { return };
    assert_has(
        &said,
        &[
            "eat  killed: the tasks of the run used all of their 64.0 MiB",
            "raise `--max-memory`",
            "code 6\n",
            "1 task: 1 executed",
            "code 0\n",
            "groups:\n",
        ],
    );
}

#[test]
fn a_service_that_is_alone_in_its_group_makes_place_for_the_limits_and_comes_back() {
    let enable = "echo '+cpu +memory' > /sys/fs/cgroup/cgroup.subtree_control\n";
    let run = in_group("service", &format!("exec reprovm show.txt {LIMITS}"));
    let failing = "echo 'task no {' > no.txt; echo '  cmd = false' >> no.txt; echo '}' >> no.txt\n";
    let again = in_group("service", &format!("exec reprovm no.txt {LIMITS}"));
    let script = enable.to_owned() + &run + GROUPS + failing + &again + GROUPS;
    let Some(said) = said(&script) else { return };
    assert_has(
        &said,
        &[
            "in /sys/fs/cgroup/service/reprovm-",
            "set: 67108864\nset: 50000 100000\n",
            "no  exit code 1",
        ],
    );
    let left = "groups: /sys/fs/cgroup/service\ncontrolled:\n";
    assert_eq!(said.matches(left).count(), 2, "{said}");
}

#[test]
fn beside_others_in_a_group_limits_are_kept_by_measuring_and_the_group_is_let_be() {
    let enable = "echo '+cpu +memory' > /sys/fs/cgroup/cgroup.subtree_control\n";
    let stray = "cat > stray.txt <<'END'
task stray {
  cmd = setsid sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > stray; kill -0 $!
}
END\n";
    let run = format!("reprovm show.txt -o json {LIMITS}; reprovm stray.txt; true");
    let health = format!("reprovm health {LIMITS}; true");
    let script = enable.to_owned()
        + stray
        + &in_group("service", &run)
        + &in_group("service", &health)
        + "ps | grep -v grep | grep -c 'sleep 1000'\n"
        + GROUPS;
    let Some(said) = said(&script) else { return };
    assert_has(
        &said,
        &[
            r#"{"limit":"cpu","ceiling":50,"by":"measuring"}"#,
            r#"{"limit":"memory","ceiling":67108864,"by":"measuring"}"#,
            // The group of the run is there all the same: the kernel kills it as one.
            r#""output":"in /sys/fs/cgroup/service/reprovm-"#,
            "`max_memory_mb` is kept by measuring",
            "`max_cpu_percent` is kept by measuring",
            "\n0\ngroups: /sys/fs/cgroup/service\ncontrolled:\n",
        ],
    );
}

#[test]
fn of_a_run_that_is_killed_nothing_lives_on_and_the_next_one_clears_its_groups() {
    let hang = "cat > hang.txt <<'END'
task hang {
  cmd = setsid sleep 1000 > /dev/null 2>&1 < /dev/null & touch up; sleep 1000
}
END
reprovm hang.txt > /dev/null 2>&1 &
until [ -e up ]; do sleep 0.1; done
kill -9 $!
until ! ps | grep -v grep | grep -q 'sleep 1000'; do sleep 0.1; done
echo none lives
reprovm show.txt
echo groups: $(find /sys/fs/cgroup -mindepth 1 -type d)\n";
    let Some(said) = said(hang) else { return };
    assert_has(&said, &["none lives\n", "in /sys/fs/cgroup/reprovm-", "\ngroups:\n"]);
}
