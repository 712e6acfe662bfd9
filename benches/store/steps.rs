//! What is measured: lines of shell, in a folder with the files in `src/` and a manifest whose two
//! tasks copy them to `out/`.

/// Something to be done with the files.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// The first is ours.
    pub(crate) tools: &'static [Tool],
}

/// How a tool does it.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The program without which it is left out.
    pub(crate) needs: &'static str,
    /// Once.
    pub(crate) before_all: &'static str,
    /// Before each round, not measured.
    pub(crate) before: &'static str,
    pub(crate) run: &'static str,
}

const fn ours(before_all: &'static str, before: &'static str, run: &'static str) -> Tool {
    Tool { name: "reprovm", needs: "sh", before_all, before, run }
}

const fn peer(
    name: &'static str,
    before_all: &'static str,
    before: &'static str,
    run: &'static str,
) -> Tool {
    Tool { name, needs: name, before_all, before, run }
}

/// A build that keeps all of its outputs.
const BUILD: &str = "$REPROVM -q -j 2 manifest.txt";
const CP: Tool = peer("cp", "", "rm -rf copy", "cp -r src copy");
const RESTIC_REPO: &str = "rm -rf restic restic-cache; restic init";
const BORG_REPO: &str = "rm -rf borg; borg init -e none borg";
const RESTIC_FULL: &str =
    "rm -rf restic restic-cache; restic init; restic backup --compression off src";
const BORG_FULL: &str = "rm -rf borg; borg init -e none borg; borg create -C none borg::one src";
/// As if nobody had used any of it for long.
const AGED: &str = "rm -rf out .reprovm; $REPROVM -q -j 2 manifest.txt; \
                    find .reprovm/cas .reprovm/cache -exec touch -h -d '60 days ago' {} +";

/// All steps. Where a tool keeps the bytes, the command that makes the outputs is measured too,
/// since ours cannot be had without.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "store",
        tools: &[
            ours("", "rm -rf out .reprovm", BUILD),
            CP,
            peer(
                "restic",
                "",
                "rm -rf copy restic restic-cache; restic init",
                "cp -r src copy && restic backup --compression off copy",
            ),
            peer(
                "borg",
                "",
                "rm -rf copy borg; borg init -e none borg",
                "cp -r src copy && borg create -C none borg::one copy",
            ),
        ],
    },
    Step {
        name: "compress",
        tools: &[
            ours("", "rm -rf out .reprovm", "$REPROVM -q -j 2 --compress manifest.txt"),
            peer(
                "zstd",
                "",
                "rm -rf copy packed",
                "cp -r src copy && find copy -type f -print0 | \
                 xargs -0 -P 2 -n 64 zstd -q -3 --output-dir-mirror packed",
            ),
            peer(
                "borg",
                "",
                "rm -rf copy borg; borg init -e none borg",
                "cp -r src copy && borg create -C zstd,3 borg::one copy",
            ),
        ],
    },
    Step {
        name: "restore",
        tools: &[
            ours(BUILD, "rm -rf out", BUILD),
            CP,
            peer("restic", RESTIC_FULL, "rm -rf back", "restic restore latest --target back"),
            peer(
                "borg",
                BORG_FULL,
                "rm -rf back; mkdir back",
                "cd back && borg extract ../borg::one",
            ),
        ],
    },
    Step {
        name: "unpack",
        tools: &[
            ours("$REPROVM -q -j 2 --compress manifest.txt", "rm -rf out", BUILD),
            peer(
                "zstd",
                "find src -type f -print0 | xargs -0 -n 64 zstd -q -3 --output-dir-mirror packed",
                "rm -rf back",
                "find packed -type f -print0 | xargs -0 -P 2 -n 64 zstd -q -d --output-dir-mirror back",
            ),
        ],
    },
    Step {
        name: "verify",
        tools: &[
            ours(BUILD, "", "$REPROVM cache verify"),
            peer(
                "sha256sum",
                "",
                "",
                "find .reprovm/cas/objects -type f -print0 | xargs -0 -P 2 -n 64 sha256sum",
            ),
            peer("restic", RESTIC_FULL, "", "restic check --read-data"),
            peer("borg", BORG_FULL, "", "borg check --verify-data borg"),
        ],
    },
    Step {
        name: "gc",
        tools: &[
            ours("", AGED, "$REPROVM gc"),
            peer("rm", "", "rm -rf copy; cp -r src copy", "rm -rf copy"),
            peer("restic", "", RESTIC_FULL, "restic forget --prune latest"),
            peer("borg", "", BORG_FULL, "borg delete borg::one && borg compact borg"),
        ],
    },
    Step {
        name: "backup",
        tools: &[
            ours(
                BUILD,
                "rm -rf .reprovm/backups",
                "$REPROVM --set backup.compression=none backup create one",
            ),
            CP,
            peer("restic", "", RESTIC_REPO, "restic backup --compression off src"),
            peer("borg", "", BORG_REPO, "borg create -C none borg::one src"),
        ],
    },
    Step {
        name: "again",
        tools: &[
            ours(
                "$REPROVM -q -j 2 manifest.txt; $REPROVM backup create one",
                "$REPROVM backup delete two || true",
                "$REPROVM backup create two --incremental",
            ),
            peer("restic", RESTIC_FULL, "", "restic backup --compression off src"),
            peer(
                "borg",
                BORG_FULL,
                "borg delete borg::two || true",
                "borg create -C none borg::two src",
            ),
        ],
    },
];
