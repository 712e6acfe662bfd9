//! Limits as words.

use crate::base::size::ByteSize;
use crate::base::text::shown;
use crate::event::{Held, InForce, Limit, Means};

/// A limit without its figures.
pub fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Cpu => "CPU",
        Limit::Memory => "memory",
        Limit::Disk => "disk",
        Limit::Tasks => "tasks at a time",
        Limit::Starts => "starts",
        Limit::CacheOperations => "cache operations",
    }
}

/// A limit that is reached, with its figures.
pub fn held(held: &Held) -> String {
    let Held { limit, measured, ceiling } = *held;
    let name = self::limit(limit);
    match limit {
        Limit::Cpu | Limit::Disk => format!("{name} {measured} % of {ceiling} %"),
        Limit::Memory => format!("{name} {} of {}", ByteSize(measured), ByteSize(ceiling)),
        Limit::Tasks => format!("{name} {measured} of {ceiling}"),
        Limit::Starts | Limit::CacheOperations => format!("{name} {ceiling} per second"),
    }
}

/// All limits of a run, and how they are kept.
pub fn in_force(limits: &[InForce]) -> String {
    let one = |in_force: &InForce| {
        let InForce { limit, ceiling, by } = *in_force;
        let name = self::limit(limit);
        let figure = match limit {
            Limit::Cpu | Limit::Disk => format!("{ceiling} %"),
            Limit::Memory => ByteSize(ceiling).to_string(),
            Limit::Tasks => ceiling.to_string(),
            Limit::Starts | Limit::CacheOperations => format!("{ceiling} per second"),
        };
        let by = match by {
            Means::ControlGroup => "a control group, and measuring",
            Means::Measuring => "measuring",
            Means::Counting => "counting",
        };
        format!("{name} {figure} (by {by})")
    };
    limits.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// That slots are not shared.
pub fn jobserver_unused(problem: &str) -> String {
    format!("no jobserver: {}", shown(problem.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_their_units() {
        let said = |limit, measured, ceiling| held(&Held { limit, measured, ceiling });
        assert_eq!(said(Limit::Memory, 4400 << 20, 4 << 30), "memory 4.3 GiB of 4.0 GiB");
        assert_eq!(said(Limit::Cpu, 97, 80), "CPU 97 % of 80 %");
        assert_eq!(said(Limit::Tasks, 2, 2), "tasks at a time 2 of 2");
        assert_eq!(said(Limit::Starts, 5, 5), "starts 5 per second");
        let limits = [
            InForce { limit: Limit::Memory, ceiling: 1 << 30, by: Means::ControlGroup },
            InForce { limit: Limit::Disk, ceiling: 95, by: Means::Measuring },
            InForce { limit: Limit::Starts, ceiling: 5, by: Means::Counting },
        ];
        assert_eq!(
            in_force(&limits),
            "memory 1.0 GiB (by a control group, and measuring), disk 95 % (by measuring), \
             starts 5 per second (by counting)"
        );
    }
}
