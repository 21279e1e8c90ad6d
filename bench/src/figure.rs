//! A figure: what was measured, several times, against what.

use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use tideline_cli::bench::percentile;

/// One figure of several rounds. A ratio is made of values of the same round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    /// Entities, jobs or samples that one value stands for.
    pub(crate) n: u64,
    pub(crate) unit: String,
    /// Median of the rounds.
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) rounds: usize,
    /// Median of value/against, round by round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) against: Option<String>,
    /// What we want, as in `>= 80000`, of the value or, if it says so, of the ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<String>,
    pub(crate) settings: String,
    pub(crate) versions: String,
}

/// What we want of a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    RatioAtLeast(f64),
    RatioAtMost(f64),
}

impl Figure {
    /// A figure of these rounds.
    pub(crate) fn new(name: impl Into<String>, n: u64, unit: &str, values: &[f64], stage: &str) -> Self {
        Self {
            name: name.into(),
            n,
            unit: unit.to_owned(),
            value: percentile(values, 50),
            min: percentile(values, 0),
            max: percentile(values, 100),
            rounds: values.len(),
            ratio: None,
            against: None,
            goal: None,
            settings: String::new(),
            versions: stage.to_owned(),
        }
    }

    /// Compared with other values, round by round.
    pub(crate) fn against(mut self, what: &str, values: &[f64], others: &[f64]) -> Self {
        let ratios: Vec<f64> = values.iter().zip(others).map(|(value, other)| value / other).collect();
        self.ratio = Some(percentile(&ratios, 50));
        self.against = Some(what.to_owned());
        self
    }

    /// With what is wanted of it.
    pub(crate) fn wanted(mut self, goal: Goal) -> Self {
        let (text, met) = match goal {
            Goal::AtLeast(wanted) => (format!(">= {wanted}"), self.value >= wanted),
            Goal::AtMost(wanted) => (format!("<= {wanted}"), self.value <= wanted),
            Goal::RatioAtLeast(wanted) => (
                format!("ratio >= {wanted}"),
                self.ratio.is_some_and(|ratio| ratio >= wanted),
            ),
            Goal::RatioAtMost(wanted) => (
                format!("ratio <= {wanted}"),
                self.ratio.is_some_and(|ratio| ratio <= wanted),
            ),
        };
        let sign = if met { "met" } else { "missed" };
        self.goal = Some(format!("{text}: {sign}"));
        self
    }

    /// With the settings that matter.
    pub(crate) fn with(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.settings);
        self
    }
}

/// Figures for people, or one JSON line each.
pub(crate) fn show(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        for figure in figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "FIGURE", "N", "MEDIAN", "MIN", "MAX", "UNIT", "RATIO", "AGAINST", "GOAL",
    ]);
    for figure in figures {
        table.add_row([
            figure.name.clone(),
            figure.n.to_string(),
            number(figure.value),
            number(figure.min),
            number(figure.max),
            figure.unit.clone(),
            figure.ratio.map(number).unwrap_or_default(),
            figure.against.clone().unwrap_or_default(),
            figure.goal.clone().unwrap_or_default(),
        ]);
    }
    for column in [1, 2, 3, 4, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    Ok(())
}

/// A value with as many digits as it is worth.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_own_ratios() {
        let values = [10.0, 30.0, 20.0];
        let figure = Figure::new("f", 1, "s", &values, "").against("other", &values, &[10.0, 10.0, 40.0]);
        assert!(figure.ratio.is_some_and(|ratio| (ratio - 1.0).abs() < 1e-9));
        assert_eq!((figure.value, figure.min, figure.max), (20.0, 10.0, 30.0));
        let figure = figure.wanted(Goal::RatioAtLeast(1.1));
        assert_eq!(figure.goal.as_deref(), Some("ratio >= 1.1: missed"));
        assert_eq!(figure.wanted(Goal::AtMost(20.0)).goal.as_deref(), Some("<= 20: met"));
    }
}
