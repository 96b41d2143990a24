//! What a crowd's figures amount to. Pure.

use std::fmt::Write as _;

use super::{Crowd, Figures};
use crate::planning::{self, Planning};
use crate::stats::Spread;

impl Figures {
    /// The tables for the report.
    pub fn table(&self, planning: Option<&Planning>) -> String {
        let mut text = String::from(
            "Started and stopped one command an agent by the peers, and by one `skerry apply` by us; \
             until all run, and until all are gone. *beside* is the memory (PSS) of whatever stays \
             with an agent to keep its output and its exit code, for each.\n\n\
             | | agents | start s | an agent, ms | of runc | stop s | of runc | beside, KiB |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for crowd in &self.crowds {
            self.row(&mut text, crowd);
        }
        if !self.floods.is_empty() {
            text.push_str(
                "\n| a flood of output | MiB a second | processor ms for a MiB |\n|---|--:|--:|\n",
            );
        }
        for flood in &self.floods {
            let _ = writeln!(text, "| {} | {:.0} | {:.2} |", flood.name, flood.rate, flood.cost);
        }
        if let Some(idle) = &self.idle {
            let _ = writeln!(
                text,
                "\nNode and monitors of {} idle agents, together, in {:.0} s: {} wake-ups, {} bytes written. \
                 Each monitor wakes once to give memory back; the node keeps its clock after ten minutes, and then once a day.",
                idle.count, idle.seconds, idle.did.switches, idle.did.written
            );
        }
        if let Some(no_op) = &self.no_op {
            let _ = writeln!(
                text,
                "\nA plan with {} running agents and nothing to do: {:.2} ms of processor time for all \
                 that it takes, the question whether it is done included; {} bytes written, {} processes \
                 begun or ended.",
                no_op.count, no_op.cost, no_op.written, no_op.forks
            );
        }
        if let Some(planning) = planning {
            let show = |spread: Option<Spread>| {
                spread.map_or_else(|| "–".to_owned(), |s| format!("{:.2} | {:.2}", s.p50, s.p90))
            };
            let _ = writeln!(
                text,
                "\n| the planner alone, {} agents | p50 ms | p90 ms |\n|---|--:|--:|\n\
                 | all must start | {} |\n| all run, nothing to do | {} |\n\
                 | wishes laid over each other | {} |",
                planning::AGENTS,
                show(planning.first),
                show(planning.settled),
                show(planning.merge)
            );
        }
        text
    }

    fn row(&self, text: &mut String, crowd: &Crowd) {
        let base =
            self.crowds.iter().find(|c| c.count == crowd.count && c.name.starts_with("runc"));
        let ratio = |time: fn(&Crowd) -> f64| {
            base.map_or_else(|| "–".to_owned(), |base| format!("{:.2}", time(crowd) / time(base)))
        };
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.1} | {} | {:.2} | {} | {} |",
            crowd.name,
            crowd.count,
            crowd.start,
            crowd.start * 1000.0 / number(crowd.count as u64),
            ratio(|c| c.start),
            crowd.stop,
            ratio(|c| c.stop),
            crowd.beside.map_or_else(|| "–".to_owned(), |kib| format!("{kib:.0}")),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^53")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}
