//! A bar chart as SVG.

use crate::samples::{Row, Unit, Verdict};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LABELS: f64 = 260.0;
const BARS: f64 = 430.0;
const LINE: f64 = 20.0;
const HEAD: f64 = 34.0;

const STYLE: &str = "\
<style>
  text { font: 12px sans-serif; fill: #333 }
  .title { font-weight: bold; font-size: 13px }
  .ours { fill: #0b7285 }
  .peer { fill: #b9c3cb }
  .limit { stroke: #c92a2a; stroke-width: 1.5; stroke-dasharray: 4 3 }
  .spread { stroke: #333; stroke-width: 1 }
</style>
";

/// One panel a row: a bar for each contestant's median with a line for its spread, and a dashed
/// line where ours has to end.
pub(crate) fn svg(rows: &[Row]) -> String {
    let mut body = String::new();
    let mut top = 10.0;
    for row in rows.iter().filter(|row| !row.entries.is_empty()) {
        top = panel(&mut body, row, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" \
         viewBox=\"0 0 {WIDTH} {top}\">\n{STYLE}<rect width=\"100%\" height=\"100%\" \
         fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn panel(body: &mut String, row: &Row, top: f64) -> f64 {
    let summaries: Vec<_> = row
        .entries
        .iter()
        .filter_map(|entry| Some((entry, entry.summary()?)))
        .collect();
    let limit = row.limit();
    let largest = summaries
        .iter()
        .map(|(_, s)| s.p90)
        .chain(limit)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = |value: f64| value / largest * BARS;
    let verdict = match row.verdict() {
        Verdict::Pass => "within budget",
        Verdict::Over => "over budget",
        Verdict::Unknown => "",
    };
    let _ = writeln!(
        body,
        "<text class=\"title\" x=\"10\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\">{verdict}</text>",
        top + 18.0,
        escaped(row.title),
        LABELS + BARS + 20.0,
        top + 18.0
    );
    let bars_top = top + HEAD - 6.0;
    let mut y = bars_top;
    for (entry, s) in &summaries {
        let class = if entry.ours { "ours" } else { "peer" };
        let middle = y + LINE / 2.0;
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{LABELS}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"/>\
             <line class=\"spread\" x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            LABELS - 8.0,
            middle + 4.0,
            escaped(&entry.label),
            y + 2.0,
            scale(s.median),
            LINE - 4.0,
            LABELS + scale(s.p10),
            LABELS + scale(s.p90),
            LABELS + scale(s.p90) + 6.0,
            middle + 4.0,
            value(s.median, row.unit)
        );
        y += LINE;
    }
    if let Some(limit) = limit {
        let x = LABELS + scale(limit);
        let _ = writeln!(
            body,
            "<line class=\"limit\" x1=\"{x:.1}\" y1=\"{bars_top}\" x2=\"{x:.1}\" y2=\"{y}\"/>"
        );
    }
    y + 12.0
}

fn value(value: f64, unit: Unit) -> String {
    let digits = match unit {
        Unit::Milliseconds => 2,
        Unit::Microseconds | Unit::KibiBytes => 0,
    };
    format!("{value:.digits$} {}", unit.symbol())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Budget, Entry};

    #[test]
    fn bars_are_to_scale() {
        let entry = |label: &str, ours, value: f64| Entry {
            label: label.to_owned(),
            ours,
            rounds: vec![vec![value]],
        };
        let row = Row {
            key: "x",
            title: "a < b",
            unit: Unit::Milliseconds,
            budget: Budget::Unknown,
            entries: vec![entry("ours", true, 1.0), entry("peer", false, 2.0)],
            notes: Vec::new(),
        };
        let chart = svg(&[row]);
        assert!(chart.contains("a &lt; b"));
        assert!(
            chart.contains("class=\"ours\" x=\"260\" y=\"40\" width=\"215.0\""),
            "{chart}"
        );
        assert!(chart.contains("width=\"430.0\""), "{chart}");
    }
}
