//! A real FUSE file system, served by the test: it passes on to a folder of the disk what it is
//! asked, and lacks what such file systems may lack: files without a name, hard links, copies
//! by reference, renames with flags. Nothing is remembered by the kernel, so each look is asked.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{
    DirBuilderExt as _, DirEntryExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _,
    OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    TimeOrNow, WriteFlags,
};

use super::say;

/// Mounted while it lives.
#[derive(Debug)]
pub(crate) struct Fuse {
    session: Option<BackgroundSession>,
    folder: PathBuf,
}

impl Fuse {
    /// Mounts one on an existing folder, with what lies in `backing`. None, and said, where that
    /// is not allowed.
    pub(crate) fn mount(backing: &Path, folder: &Path) -> Option<Self> {
        let served = Served::of(backing).expect("a folder");
        match fuser::spawn_mount(served, folder, &Config::default()) {
            Ok(session) => Some(Self { session: Some(session), folder: folder.to_path_buf() }),
            Err(error) => {
                say(&format!("SKIPPED: no FUSE file system can be mounted here: {error}"));
                None
            }
        }
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.session.take().map(BackgroundSession::umount_and_join) {
            say(&format!("the FUSE file system is taken away in use: {error}"));
            let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        }
    }
}

type Listing = Vec<(u64, FileType, std::ffi::OsString)>;

#[derive(Debug)]
struct Served {
    /// By number: a handle that stands for the file whatever it is called, and how often the
    /// kernel was told of it.
    nodes: Mutex<HashMap<u64, (Arc<File>, u64)>>,
    open: Mutex<HashMap<u64, Arc<File>>>,
    listings: Mutex<HashMap<u64, Arc<Listing>>>,
    next: AtomicU64,
}

/// A handle that reads nothing.
fn hold(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path)
}

/// A path that leads to what the handle stands for.
fn by_handle(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn kind_of(kind: fs::FileType) -> FileType {
    if kind.is_dir() {
        FileType::Directory
    } else if kind.is_symlink() {
        FileType::Symlink
    } else if kind.is_fifo() {
        FileType::NamedPipe
    } else {
        FileType::RegularFile
    }
}

fn attributes(file: &File) -> io::Result<FileAttr> {
    let data = file.metadata()?;
    let time = |seconds: i64, nanoseconds: i64| {
        let seconds = Duration::from_secs(seconds.try_into().unwrap_or(0));
        SystemTime::UNIX_EPOCH + seconds + Duration::from_nanos(nanoseconds.try_into().unwrap_or(0))
    };
    Ok(FileAttr {
        ino: INodeNo(data.ino()),
        size: data.size(),
        blocks: data.blocks(),
        atime: time(data.atime(), data.atime_nsec()),
        mtime: time(data.mtime(), data.mtime_nsec()),
        ctime: time(data.ctime(), data.ctime_nsec()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind_of(data.file_type()),
        perm: (data.mode() & 0o7777) as u16,
        nlink: u32::try_from(data.nlink()).unwrap_or(1),
        uid: data.uid(),
        gid: data.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

impl Served {
    fn of(backing: &Path) -> io::Result<Self> {
        let root = Arc::new(hold(backing)?);
        Ok(Self {
            nodes: Mutex::new(HashMap::from([(1, (root, 1))])),
            open: Mutex::default(),
            listings: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    fn node(&self, ino: INodeNo) -> io::Result<Arc<File>> {
        let nodes = self.nodes.lock().expect("nobody panicked");
        let found = nodes.get(&ino.0).map(|(file, _)| file.clone());
        found.ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))
    }

    /// Where a name in a folder lies, and the folder's handle, which must live as long.
    fn place(&self, parent: INodeNo, name: &OsStr) -> io::Result<(Arc<File>, PathBuf)> {
        let folder = self.node(parent)?;
        let path = by_handle(&folder).join(name);
        Ok((folder, path))
    }

    /// What the kernel is told of a name; it counts that it was told.
    fn look(&self, path: &Path) -> io::Result<FileAttr> {
        let file = hold(path)?;
        let attributes = attributes(&file)?;
        let mut nodes = self.nodes.lock().expect("nobody panicked");
        nodes.entry(attributes.ino.0).or_insert_with(|| (Arc::new(file), 0)).1 += 1;
        Ok(attributes)
    }

    fn keep(&self, file: File) -> FileHandle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().expect("nobody panicked").insert(handle, Arc::new(file));
        FileHandle(handle)
    }

    fn opened(&self, handle: FileHandle) -> io::Result<Arc<File>> {
        let open = self.open.lock().expect("nobody panicked");
        open.get(&handle.0).cloned().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }

    fn list(&self, ino: INodeNo) -> io::Result<Listing> {
        let folder = self.node(ino)?;
        let mut listing = vec![
            (ino.0, FileType::Directory, ".".into()),
            (ino.0, FileType::Directory, "..".into()),
        ];
        for entry in fs::read_dir(by_handle(&folder))? {
            let entry = entry?;
            listing.push((entry.ino(), kind_of(entry.file_type()?), entry.file_name()));
        }
        Ok(listing)
    }

    fn change(&self, ino: INodeNo, wanted: &Wanted) -> io::Result<FileAttr> {
        let node = self.node(ino)?;
        let path = by_handle(&node);
        if let Some(mode) = wanted.mode {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
        }
        if wanted.uid.is_some() || wanted.gid.is_some() {
            std::os::unix::fs::chown(&path, wanted.uid, wanted.gid)?;
        }
        if let Some(size) = wanted.size {
            match wanted.handle {
                Some(handle) => self.opened(handle)?.set_len(size)?,
                None => OpenOptions::new().write(true).open(&path)?.set_len(size)?,
            }
        }
        let time = |time: TimeOrNow| match time {
            TimeOrNow::SpecificTime(time) => time,
            TimeOrNow::Now => SystemTime::now(),
        };
        let mut times = fs::FileTimes::new();
        if let Some(accessed) = wanted.atime {
            times = times.set_accessed(time(accessed));
        }
        if let Some(modified) = wanted.mtime {
            times = times.set_modified(time(modified));
        }
        if wanted.atime.is_some() || wanted.mtime.is_some() {
            File::open(&path)?.set_times(times)?;
        }
        attributes(&node)
    }
}

/// What is to become of a file.
struct Wanted {
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    size: Option<u64>,
    atime: Option<TimeOrNow>,
    mtime: Option<TimeOrNow>,
    handle: Option<FileHandle>,
}

const NOT_KEPT: Duration = Duration::ZERO;

fn entry(result: io::Result<FileAttr>, reply: ReplyEntry) {
    match result {
        Ok(found) => reply.entry(&NOT_KEPT, &found, Generation(0)),
        Err(error) => reply.error(error.into()),
    }
}

fn done(result: io::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error.into()),
    }
}

fn described(result: io::Result<FileAttr>, reply: ReplyAttr) {
    match result {
        Ok(found) => reply.attr(&NOT_KEPT, &found),
        Err(error) => reply.error(error.into()),
    }
}

fn data(result: io::Result<Vec<u8>>, reply: ReplyData) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(error.into()),
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.place(parent, name).and_then(|(_folder, path)| self.look(&path)), reply);
    }

    fn forget(&self, _: &Request, ino: INodeNo, times: u64) {
        let mut nodes = self.nodes.lock().expect("nobody panicked");
        if let Some((_, known)) = nodes.get_mut(&ino.0)
            && ino.0 != 1
        {
            *known = known.saturating_sub(times);
            if *known == 0 {
                nodes.remove(&ino.0);
            }
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        described(self.node(ino).and_then(|file| attributes(&file)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let wanted = Wanted { mode, uid, gid, size, atime, mtime, handle };
        described(self.change(ino, &wanted), reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.node(ino).and_then(|link| Ok(nix::fcntl::readlinkat(&*link, "")?));
        data(target.map(|path| path.into_vec()), reply);
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        let made = self.place(parent, name).and_then(|(_folder, path)| {
            fs::DirBuilder::new().mode(mode).create(&path)?;
            self.look(&path)
        });
        entry(made, reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.place(parent, name).and_then(|(_folder, path)| fs::remove_file(path)), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.place(parent, name).and_then(|(_folder, path)| fs::remove_dir(path)), reply);
    }

    fn symlink(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let made = self.place(parent, name).and_then(|(_folder, path)| {
            symlink(target, &path)?;
            self.look(&path)
        });
        entry(made, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let renamed = self.place(parent, name).and_then(|(_from, old)| {
            let (_to, new) = self.place(new_parent, new_name)?;
            fs::rename(old, new)
        });
        done(renamed, reply);
    }

    fn open(&self, _: &Request, ino: INodeNo, OpenFlags(flags): OpenFlags, reply: ReplyOpen) {
        let opened = self.node(ino).and_then(|file| {
            let writes = flags & libc::O_ACCMODE != libc::O_RDONLY;
            // Where to append is the kernel's to say; it reads what it writes a part of.
            let (read, cut) = (true, flags & libc::O_TRUNC != 0);
            let mut options = OpenOptions::new();
            options.read(read).write(writes).truncate(cut && writes).open(by_handle(&file))
        });
        match opened {
            Ok(file) => reply.opened(self.keep(file), FopenFlags::empty()),
            Err(error) => reply.error(error.into()),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let made = self.place(parent, name).and_then(|(_folder, path)| {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create_new(true).mode(mode).open(&path)?;
            Ok((file, self.look(&path)?))
        });
        match made {
            Ok((file, found)) => {
                let handle = self.keep(file);
                reply.created(&NOT_KEPT, &found, Generation(0), handle, FopenFlags::empty());
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.opened(handle).and_then(|file| {
            let mut bytes = vec![0; size as usize];
            let mut filled = 0;
            loop {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        });
        data(read, reply);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.opened(handle).and_then(|file| file.write_all_at(bytes, offset)) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).expect("a write is small")),
            Err(error) => reply.error(error.into()),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        done(self.opened(handle).and_then(|file| file.sync_all()), reply);
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open.lock().expect("nobody panicked").remove(&handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.list(ino) {
            Ok(listing) => {
                let handle = self.next.fetch_add(1, Ordering::Relaxed);
                let mut listings = self.listings.lock().expect("nobody panicked");
                listings.insert(handle, Arc::new(listing));
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error.into()),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let listing = self.listings.lock().expect("nobody panicked").get(&handle.0).cloned();
        let Some(listing) = listing else { return reply.error(Errno::EBADF) };
        for (number, (ino, kind, name)) in (1..).zip(listing.iter()).skip(offset as usize) {
            if reply.add(INodeNo(*ino), number, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.listings.lock().expect("nobody panicked").remove(&handle.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
