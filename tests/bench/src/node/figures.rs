//! What a node's figures amount to. Pure.

use std::fmt::Write as _;

use super::{AGENTS, NodeFigures};
use crate::cost::Memory;

impl NodeFigures {
    /// The node's proportional memory in KiB.
    pub fn node_pss(&self) -> f64 {
        number(self.node.pss)
    }

    /// The largest monitor's proportional memory in KiB.
    pub fn monitor_pss(&self) -> f64 {
        number(self.monitors.iter().map(|monitor| monitor.pss).max().unwrap_or(0))
    }

    /// How often a thread of the node was scheduled, each second.
    pub fn wakeups(&self) -> f64 {
        number(self.node_did.switches) / self.seconds
    }

    /// How soon it answers in milliseconds, the median of its starts with agents running.
    pub fn ready(&self) -> Option<f64> {
        self.ready_again.map(|spread| spread.p50)
    }

    /// The table for the report.
    pub fn table(&self) -> String {
        let mut text = format!(
            "With {AGENTS} idle agents; memory in KiB from smaps_rollup; wake-ups are context \
             switches of all threads over {:.0} s.\n\n\
             | | PSS | private | private dirty | wake-ups a second | bytes written |\n\
             |---|--:|--:|--:|--:|--:|\n",
            self.seconds,
        );
        let mut row = |name: &str, memory: &Memory, wakeups: f64, written: u64| {
            let Memory { pss, private, private_dirty } = memory;
            let _ = writeln!(
                text,
                "| {name} | {pss} | {private} | {private_dirty} | {wakeups:.2} | {written} |"
            );
        };
        let name = format!("node ({} threads)", self.threads);
        row(&name, &self.node, self.wakeups(), self.node_did.written);
        let largest = self.monitors.iter().max_by_key(|monitor| monitor.pss);
        let each = number(self.monitors_did.switches) / self.seconds / number(AGENTS as u64);
        row("one monitor (largest)", &largest.copied().unwrap_or_default(), each, 0);
        row("all monitors", &self.total(), each * number(AGENTS as u64), self.monitors_did.written);
        let _ = writeln!(text, "\n| API ready | ms |\n|---|--:|");
        let _ = writeln!(text, "| first start, no state | {:.1} |", self.first_ready);
        if let Some(again) = self.ready_again {
            let _ = writeln!(text, "| restart with {AGENTS} agents, p50 | {:.1} |", again.p50);
            let _ = writeln!(text, "| restart with {AGENTS} agents, p90 | {:.1} |", again.p90);
        }
        text
    }

    fn total(&self) -> Memory {
        self.monitors.iter().fold(Memory::default(), |sum, one| Memory {
            pss: sum.pss + one.pss,
            private: sum.private + one.private,
            private_dirty: sum.private_dirty + one.private_dirty,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}
