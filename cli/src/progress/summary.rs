//! The table of ended cycles.

use tideline_core::words::CycleRecord;

use super::EndedCycle;
use crate::commands::sources::cycle_state;
use crate::output::{Grid, Piece, Tone, per_second, short, span};

/// One row per cycle. Malformed items have a column if there are any.
pub(super) fn summary(ended: &[EndedCycle]) -> Grid {
    let has_malformed = ended.iter().any(|end| end.cycle.totals.malformed > 0);
    let mut titles = vec![
        "source",
        "cycle",
        "state",
        "took",
        "speed",
        "pages",
        "same",
        "entities",
        "added",
        "modified",
        "unchanged",
        "deleted",
        "held",
    ];
    titles.extend(has_malformed.then_some("malformed"));
    titles.push("reason");
    let mut grid = Grid::new(&titles);
    for end in ended {
        let totals = &end.cycle.totals;
        let mut row = vec![
            end.source.as_str().into(),
            Piece::number(u64::try_from(end.cycle.number.0).unwrap_or_default()),
            cycle_state(end.cycle.state, end.cycle.reason.as_deref(), totals.has_gaps()),
            span(took(&end.cycle)).into(),
            Piece::toned(per_second(totals.entities, took(&end.cycle)), Tone::Dim),
            Piece::number(totals.pages),
            Piece::number(totals.pages_unchanged),
            Piece::number(totals.entities),
            Piece::number_toned(totals.added, Tone::Good),
            Piece::number_toned(totals.modified, Tone::Warn),
            Piece::number(totals.unchanged),
            Piece::number_toned(totals.removed, Tone::Bad),
            Piece::number_toned(end.held, Tone::Warn),
        ];
        row.extend(has_malformed.then(|| Piece::number_toned(totals.malformed, Tone::Bad)));
        row.push(short(end.cycle.reason.as_deref().unwrap_or_default(), 120).into());
        grid.row(row);
    }
    grid
}

fn took(cycle: &CycleRecord) -> std::time::Duration {
    cycle.ended_at.unwrap_or(cycle.started_at).since(cycle.started_at)
}

#[cfg(test)]
mod tests {
    use tideline_core::words::{CycleNumber, CycleState, CycleTotals, SourceId, Timestamp, Trigger};

    use super::*;

    #[test]
    fn a_cycle_is_summed_up_in_one_row() {
        let end = EndedCycle {
            source: "demo".into(),
            cycle: CycleRecord {
                source: SourceId(1),
                number: CycleNumber(4),
                state: CycleState::Held,
                trigger: Trigger::Schedule,
                started_at: Timestamp(0),
                ended_at: Some(Timestamp(10_000)),
                reason: None,
                totals: CycleTotals {
                    pages: 400,
                    entities: 20_000,
                    added: 12,
                    unchanged: 19_988,
                    ..CycleTotals::default()
                },
            },
            held: 7_400,
        };
        let mut malformed = EndedCycle {
            source: "other".into(),
            cycle: end.cycle.clone(),
            held: 0,
        };
        malformed.cycle.totals.malformed = 3;
        let text = summary(&[malformed]).render(false, false);
        assert!(
            text.lines().next().unwrap().contains("MALFORMED") && text.contains(" 3"),
            "{text}"
        );
        let text = summary(&[end]).render(false, false);
        let row: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(
            row,
            [
                "demo", "4", "held", "10", "s", "2,000/s", "400", "0", "20,000", "12", "0", "19,988", "0", "7,400"
            ]
        );
    }
}
