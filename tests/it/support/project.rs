//! A project in a temporary folder, with an environment of its own.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{SigHandler, Signal, signal};
use tempfile::TempDir;

use super::{Background, Run, Tree, files_below, picture, source_root};

/// The project's folder, a home beside it, and the program to run. All is removed at the end.
#[derive(Debug)]
pub(crate) struct Project {
    temporary: TempDir,
    root: PathBuf,
    program: PathBuf,
    env: Vec<(OsString, OsString)>,
}

impl Project {
    /// An empty project for the program under test.
    pub(crate) fn new() -> Self {
        Self::of_program(env!("CARGO_BIN_EXE_reprovm"))
    }

    /// An empty project for any program.
    pub(crate) fn of_program(program: impl AsRef<Path>) -> Self {
        // What ignores a signal hands that on to all that it starts: tests under `nohup`, or in the
        // background of a script, would find programs that do not hear of it.
        static HEAR: Once = Once::new();
        HEAR.call_once(|| {
            for heard in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
                // SAFETY: no handler is installed, so none can run.
                unsafe { signal(heard, SigHandler::SigDfl) }.expect("a signal with an action");
            }
        });
        let temporary = tempfile::tempdir().expect("a temporary folder");
        // The kernel's name of the folder, so that paths in messages compare.
        let base = temporary.path().canonicalize().expect("the folder just made");
        let root = base.join("project");
        let home = base.join("home");
        fs::create_dir(&root).expect("a folder for the project");
        fs::create_dir(&home).expect("a folder for the home");
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        // The settings of the machine that the tests run on are not theirs.
        let env = vec![
            ("PATH".into(), path),
            ("HOME".into(), home.into()),
            ("LANG".into(), "C".into()),
            ("REPROVM_SYSTEM_CONFIG".into(), "".into()),
        ];
        Self { temporary, root, program: program.as_ref().into(), env }
    }

    /// A copy of one of the examples, without what a build has left there.
    pub(crate) fn of_example(name: &str) -> Self {
        let project = Self::new();
        project.copy(&source_root().join("examples").join(name), "");
        project
    }

    /// Copies a folder's files, build products left out, to `to`.
    pub(crate) fn copy(&self, from: &Path, to: &str) -> &Self {
        for path in files_below(from, &["out", ".reprovm"]) {
            let target = self.path(to).join(&path);
            fs::create_dir_all(target.parent().expect("it lies in the project"))
                .expect("a folder for it");
            fs::copy(from.join(&path), target).expect("a copy");
        }
        self
    }

    /// Makes another folder that exists the project's own.
    pub(crate) fn stand_in(&mut self, root: &Path) {
        self.root = root.to_path_buf();
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder outside the project that goes with it.
    pub(crate) fn outside(&self) -> &Path {
        self.temporary.path()
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }

    /// Writes a file and the folders above it.
    pub(crate) fn file(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("folders for the file");
        }
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    /// Writes `manifest.txt`.
    pub(crate) fn manifest(&self, text: &str) -> &Self {
        self.file("manifest.txt", text)
    }

    pub(crate) fn dir(&self, path: impl AsRef<Path>) -> &Self {
        fs::create_dir_all(self.path(path)).expect("a folder");
        self
    }

    /// A link at `path` that says `target`.
    pub(crate) fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> &Self {
        symlink(target, self.path(path)).expect("a link");
        self
    }

    pub(crate) fn chmod(&self, path: impl AsRef<Path>, mode: u32) -> &Self {
        fs::set_permissions(self.path(path), Permissions::from_mode(mode)).expect("a mode");
        self
    }

    /// Gives the file a new modification time and leaves its bytes.
    pub(crate) fn touch(&self, path: impl AsRef<Path>) -> &Self {
        let file = File::open(self.path(path)).expect("a file to touch");
        let old = file.metadata().and_then(|data| data.modified()).expect("its time");
        let new = SystemTime::now().max(old + Duration::from_millis(1));
        file.set_modified(new).expect("a new time");
        self
    }

    /// Removes a file, a link, or a folder with all in it.
    pub(crate) fn remove(&self, path: impl AsRef<Path>) -> &Self {
        let path = self.path(path);
        let folder = path.symlink_metadata().is_ok_and(|data| data.is_dir());
        let removed = if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        String::from_utf8_lossy(&self.bytes(path)).into_owned()
    }

    pub(crate) fn bytes(&self, path: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Whether something is there; a link counts wherever it leads.
    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The permission bits, of a link its own.
    pub(crate) fn mode(&self, path: impl AsRef<Path>) -> u32 {
        let data = self.path(path).symlink_metadata().expect("something is there");
        data.permissions().mode() & 0o7777
    }

    /// All that is in the project but `.reprovm`.
    pub(crate) fn tree(&self) -> Tree {
        picture(&self.root)
    }

    /// The living processes whose working folder is in the project: nothing that a task starts
    /// can hide from this without leaving the folder.
    pub(crate) fn processes(&self) -> BTreeSet<i32> {
        let all = fs::read_dir("/proc").expect("a readable /proc").flatten();
        all.filter(|entry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|at| at.starts_with(&self.root))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
    }

    /// Sets a variable for the runs that follow.
    pub(crate) fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.env.retain(|(known, _)| known != name.as_ref());
        self.env.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    /// The program in the project's folder, ready to be started by other means.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.root).env_clear().stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The same, started by a shell script that ends in `exec "$@"` or the like.
    pub(crate) fn by_shell<S: AsRef<OsStr>>(
        &self,
        script: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Background {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(&self.program).args(args);
        command.current_dir(&self.root).env_clear().stdin(Stdio::null());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        Background::start(command)
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.spawn(args).wait()
    }

    /// As [`Self::run`], with the events on stdout.
    #[track_caller]
    pub(crate) fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        self.spawn_json(args).wait()
    }

    /// Starts the program and comes back at once.
    pub(crate) fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Background {
        Background::start(self.command(args))
    }

    /// As [`Self::spawn`], with the events on stdout.
    pub(crate) fn spawn_json<S: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Background {
        let mut all: Vec<OsString> = vec!["-o".into(), "json".into()];
        all.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        Background::start(self.command(all))
    }
}
