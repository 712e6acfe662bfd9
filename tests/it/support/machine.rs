//! A machine of its own, for what is not to be done to this one: qemu starts a Linux kernel of the
//! distribution, by software alone, with nothing in it but the program, busybox and a script.
//! `tests/servers.sh` installs all three.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{PATIENCE, say, source_root};

/// Mounts what a Linux system has, runs the script in an empty folder, and switches off. What the
/// script says goes to the second serial line: the kernel has the first.
const INIT: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/work TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /work
mount -t tmpfs tmpfs /tmp
cd /work
stty -F /dev/ttyS1 raw
sh /script > /dev/ttyS1 2>&1 < /dev/null
echo 'switched off' > /dev/ttyS1
poweroff -f
";

/// What the script said, standard output and standard error together. None, and said, where such
/// a machine cannot be had..
#[track_caller]
pub(crate) fn in_a_machine(script: &str) -> Option<String> {
    let kernel = source_root().join("target/servers/linux/vmlinuz");
    if !cfg!(target_arch = "x86_64") || !kernel.exists() {
        say("SKIPPED: there is no kernel for a machine of its own; tests/servers.sh fetches one");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let [console, words] = ["console", "words"].map(|name| folder.path().join(name));
    let mut qemu = Command::new("timeout");
    qemu.args(["--signal=KILL", &PATIENCE.as_secs().to_string(), "qemu-system-x86_64"])
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "768"])
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-serial")
        .arg(format!("file:{}", words.display()))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(disk(&folder, script))
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .stdin(Stdio::null());
    let status = qemu.status().expect("`timeout` and `qemu-system-x86_64` are installed");
    let read =
        |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let said = read(&words);
    let whole = said.strip_suffix("switched off\n");
    let whole = whole.filter(|_| status.success());
    Some(whole.unwrap_or_else(|| panic!("{status}\n{}\n{said}", read(&console))).to_owned())
}

/// Everything that the machine has, in the form that a kernel takes at its start.
fn disk(folder: &TempDir, script: &str) -> PathBuf {
    let root = folder.path().join("root");
    for name in ["bin", "dev", "proc", "sys", "tmp", "work"] {
        fs::create_dir_all(root.join(name)).expect("a folder");
    }
    let program = Path::new(env!("CARGO_BIN_EXE_reprovm"));
    copy(program, &root.join("bin/reprovm"));
    copy(&found("busybox"), &root.join("bin/busybox"));
    for library in libraries(program) {
        let path = library.strip_prefix("/").expect("an absolute path");
        copy(&library, &root.join(path));
    }
    fs::write(root.join("init"), INIT).expect("a file");
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::write(root.join("script"), script).expect("a file");
    let made = folder.path().join("disk");
    let pack = "find . | busybox cpio -o -H newc 2>/dev/null > \"$0\"";
    let mut pack_all = Command::new("sh");
    pack_all.args(["-c", pack]).arg(&made).current_dir(&root);
    assert!(pack_all.status().expect("a shell").success(), "the disk is packed");
    made
}

/// What the loader needs to start it, itself included.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = Command::new("ldd").arg(program).output().expect("`ldd`");
    let text = String::from_utf8(listed.stdout).expect("text");
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn found(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").expect("a search path");
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("`{name}` is not installed; tests/servers.sh does that"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}
