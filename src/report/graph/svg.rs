//! A chart as a picture that stands alone, readable on light and dark pages.

use super::layers::{Line, Placed, Wanted, layout};
use super::{Arrow, Box, Chart, Shape};

/// Characters of a line; the whole text is the box's tooltip.
const LONGEST: usize = 36;
/// The same above a box.
const LONGEST_LABEL: usize = 26;
/// Pixels a character of the title, of a line, of a label: monospace, so that text can be measured by counting.
const TITLE: f64 = 7.9;
const TEXT: f64 = 6.7;
const LABEL: f64 = 6.1;
/// Pixels from line to line.
const LINE: f64 = 15.0;
/// Around the text of a box.
const PADDING: f64 = 11.0;

const STYLE: &str = "text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}\
    .t{font-size:13px;font-weight:600;fill:#1b2733}.l{font-size:11px;fill:#3b4a5a}.r{font-size:10px;fill:#7c8087}\
    rect{stroke:#7d8b9a;fill:#edf2f8}.source{fill:#f6f1e2;stroke:#a89a6c}.target{fill:#e2f2e6;stroke:#6d9c79}\
    .compare{fill:#f0e7f6;stroke:#9479a8}path{fill:none;stroke:#8a929b;stroke-width:1.2}";

/// The chart as one `<svg>`.
pub fn svg(chart: &Chart) -> String {
    let labels: Vec<String> = chart.arrows.iter().map(|arrow| cut(&arrow.label, LONGEST_LABEL)).collect();
    let wanted = measure(chart, &labels);
    let placed = layout(&wanted);
    let (width, height) = placed.size;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\" \
         role=\"img\">\n<style>{STYLE}</style>\n<defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" \
         markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" \
         style=\"fill:#8a929b;stroke:none\"/></marker></defs>\n",
        width.ceil(),
        height.ceil()
    );
    placed.lines.iter().for_each(|line| text += &path(line));
    for (node, (at, size)) in chart.boxes.iter().zip(placed.boxes.iter().zip(&wanted.sizes)) {
        text += &drawn(node, *at, *size);
    }
    text += &written(&chart.arrows, &labels, &placed);
    text + "</svg>\n"
}

/// The room that everything needs. A box is wide enough for the labels above it.
fn measure(chart: &Chart, labels: &[String]) -> Wanted {
    let arrow = |(arrow, label): (&Arrow, &String)| {
        let width = if label.is_empty() { 0.0 } else { columns(label) as f64 * LABEL + 4.0 };
        (arrow.from, arrow.to, width + 12.0)
    };
    let arrows: Vec<(usize, usize, f64)> = chart.arrows.iter().zip(labels).map(arrow).collect();
    let mut above = vec![(0, 0.0); chart.boxes.len()];
    for &(_, to, width) in &arrows {
        above[to] = (above[to].0 + 1, above[to].1 + width);
    }
    let size = |(node, &(count, above)): (&Box, &(usize, f64))| {
        let lines = node.lines.iter().map(|line| columns(&cut(line, LONGEST)) as f64 * TEXT).fold(0.0, f64::max);
        let text = lines.max(columns(&cut(&node.title, LONGEST)) as f64 * TITLE) + 2.0 * PADDING;
        // A lone arrow ends in the middle: its label has half of the box.
        let above = if count == 1 { 2.0 * above } else { above };
        (text.max(above), LINE * (node.lines.len() + 1) as f64 + PADDING)
    };
    Wanted { sizes: chart.boxes.iter().zip(&above).map(size).collect(), arrows }
}

fn path(line: &Line) -> String {
    let Line { from: (x, y), bend, bent, to: (to, end), .. } = *line;
    let middle = (bend + bent) / 2.0;
    let marker = if line.is_end { " marker-end=\"url(#a)\"" } else { "" };
    format!(
        "<path d=\"M{x:.1} {y:.1}V{bend:.1}C{x:.1} {middle:.1} {to:.1} {middle:.1} {to:.1} {bent:.1}V{end:.1}\"{marker}/>\n"
    )
}

fn drawn(node: &Box, (x, y): (f64, f64), (width, height): (f64, f64)) -> String {
    let (class, round) = match node.shape {
        Shape::Stage => ("stage", 4),
        Shape::Source => ("source", 4),
        Shape::Target => ("target", 12),
        Shape::Compare => ("compare", 12),
    };
    let rect = |by: f64| {
        format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round}\"/>",
            x + by,
            y + by
        )
    };
    let all: Vec<&str> = node.texts().collect();
    let mut text = format!("<g><title>{}</title>", escaped(&all.join("\n")));
    text += &if node.is_many { rect(4.0) + &rect(0.0) } else { rect(0.0) };
    for (index, line) in all.iter().enumerate() {
        let class = if index == 0 { "t" } else { "l" };
        text += &format!(
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x + width / 2.0,
            y + PADDING / 2.0 + LINE * (index as f64 + 0.8),
            escaped(&cut(line, LONGEST))
        );
    }
    text + "</g>\n"
}

fn written(arrows: &[Arrow], labels: &[String], placed: &Placed) -> String {
    let shown = arrows.iter().zip(labels).zip(&placed.labels).filter(|((_, label), _)| !label.is_empty());
    let write = |((arrow, label), (x, y)): ((&Arrow, &String), &(f64, f64))| {
        let title =
            if *label == arrow.label { String::new() } else { format!("<title>{}</title>", escaped(&arrow.label)) };
        format!("<text class=\"r\" x=\"{:.1}\" y=\"{:.1}\">{title}{}</text>\n", x + 4.0, y - 6.0, escaped(label))
    };
    shown.map(write).collect()
}

/// At most so many columns, an ellipsis for the rest.
fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_string();
    }
    let mut kept = String::new();
    for sign in text.chars() {
        if columns(&kept) + width(sign) >= most {
            break;
        }
        kept.push(sign);
    }
    kept + "…"
}

/// The columns of a monospaced text.
fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Letters of East Asian scripts, and pictures, are twice as wide.
fn width(sign: char) -> usize {
    if matches!(sign as u32, 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff)
    {
        2
    } else {
        1
    }
}

/// Text inside XML; what XML cannot hold at all becomes a replacement sign.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for sign in text.chars() {
        match sign {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(sign),
            control if control.is_control() => escaped.push('\u{fffd}'),
            plain => escaped.push(plain),
        }
    }
    escaped
}
