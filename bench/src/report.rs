//! A table and charts for docs/performance.md, from the lines that the other commands print.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use plotters::prelude::*;

use crate::figure::{Figure, number};

const SIZE: (u32, u32) = (760, 360);
const COLORS: [RGBColor; 4] = [
    RGBColor(0, 95, 115),
    RGBColor(202, 103, 2),
    RGBColor(10, 147, 150),
    RGBColor(155, 34, 38),
];

/// A chart: its file, its title, its axes, and its lines by the name of their figures.
struct Chart {
    file: &'static str,
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: &'static [&'static str],
}

const CHARTS: [Chart; 2] = [
    Chart {
        file: "growth-speed.svg",
        title: "Speed by size of the source",
        x: "entities (logarithmic)",
        y: "thousand entities/s",
        lines: &[
            "Postgres, first load",
            "Postgres, unchanged",
            "SQLite, first load",
            "SQLite, unchanged",
        ],
    },
    Chart {
        file: "growth-memory.svg",
        title: "Peak memory by size of the source",
        x: "entities (logarithmic)",
        y: "MiB",
        lines: &["Postgres, peak memory", "SQLite, peak memory"],
    },
];

/// Writes the table and all charts whose figures are there.
pub(crate) fn write(figures: &Path, folder: &Path) -> Result<()> {
    let text = std::fs::read_to_string(figures).with_context(|| format!("read {}", figures.display()))?;
    let figures = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Figure>, _>>()
        .context("a line is no figure")?;
    ensure!(
        !figures.is_empty(),
        "there are no figures here; run the other commands with --json first"
    );
    std::fs::write(folder.join("figures.md"), table(&figures))?;
    for chart in &CHARTS {
        let lines = points(chart, &figures);
        if !lines.is_empty() {
            draw_lines(chart, &lines, &folder.join(chart.file)).map_err(|error| anyhow!("{}: {error}", chart.file))?;
        }
    }
    Ok(())
}

/// For people, in Markdown.
fn table(figures: &[Figure]) -> String {
    let mut text = "Made by `tideline-bench report` from figures.jsonl; do not edit.\n\n\
                    | Figure | n | Median | Min – max | Unit | Ratio | Goal |\n|---|---:|---:|---:|---|---|---|\n"
        .to_owned();
    for figure in figures {
        let ratio = match (&figure.ratio, &figure.against) {
            (Some(ratio), Some(against)) => format!("{} × {against}", number(*ratio)),
            _ => String::new(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} – {} | {} | {ratio} | {} |",
            figure.name,
            figure.n,
            number(figure.value),
            number(figure.min),
            number(figure.max),
            figure.unit,
            figure.goal.as_deref().unwrap_or_default(),
        );
    }
    let mut versions: Vec<&str> = figures.iter().map(|figure| figure.versions.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    let _ = write!(text, "\nMeasured with: {}.\n", versions.join("; "));
    text
}

/// The points of each line, smallest first.
fn points(chart: &Chart, figures: &[Figure]) -> BTreeMap<&'static str, Vec<(f64, f64)>> {
    let scale = if chart.y.starts_with("thousand") { 1e-3 } else { 1.0 };
    let mut lines = BTreeMap::new();
    for name in chart.lines {
        #[allow(clippy::cast_precision_loss, reason = "numbers of entities")]
        let mut line: Vec<(f64, f64)> = figures
            .iter()
            .filter(|figure| figure.name == *name)
            .map(|figure| (figure.n as f64, figure.value * scale))
            .collect();
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !line.is_empty() {
            lines.insert(*name, line);
        }
    }
    lines
}

fn draw_lines(
    chart: &Chart,
    lines: &BTreeMap<&'static str, Vec<(f64, f64)>>,
    path: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.values().flatten();
    let least = all().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let most = all().map(|point| point.0).fold(0.0, f64::max);
    let top = all().map(|point| point.1).fold(0.0, f64::max) * 1.15;
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut drawing = ChartBuilder::on(&root)
        .caption(chart.title, ("sans-serif", 18))
        .margin(12)
        // The last number below the axis is wider than its place.
        .margin_right(44)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d((least..most).log_scale(), 0.0..top)?;
    drawing
        .configure_mesh()
        .x_desc(chart.x)
        .y_desc(chart.y)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for ((name, line), color) in lines.iter().zip(COLORS) {
        drawing
            .draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    drawing
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
