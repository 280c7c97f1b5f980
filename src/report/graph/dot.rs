//! A chart in the language of Graphviz.

use super::{Box, Chart, Shape};

/// The chart as a digraph from top to bottom.
pub fn dot(chart: &Chart) -> String {
    let mut text = String::from("digraph srlm {\n  rankdir=TB;\n  node [fontname=\"Helvetica\", fontsize=11];\n");
    text += "  edge [fontname=\"Helvetica\", fontsize=9];\n";
    for (index, node) in chart.boxes.iter().enumerate() {
        text += &format!("  n{index} [label={}, {}];\n", quoted(&label(node)), shape(node));
    }
    for arrow in &chart.arrows {
        let label = if arrow.label.is_empty() { String::new() } else { format!(" [label={}]", quoted(&arrow.label)) };
        text += &format!("  n{} -> n{}{label};\n", arrow.from, arrow.to);
    }
    text + "}\n"
}

fn label(node: &Box) -> String {
    node.texts().collect::<Vec<_>>().join("\n")
}

fn shape(node: &Box) -> &'static str {
    match (node.shape, node.is_many) {
        (Shape::Stage, true) => "shape=box3d",
        (Shape::Stage, false) => "shape=box",
        (Shape::Source, true) => "shape=box3d, style=dashed",
        (Shape::Source, false) => "shape=box, style=dashed",
        (Shape::Target, _) => "shape=box, style=\"rounded,bold\"",
        (Shape::Compare, _) => "shape=hexagon",
    }
}

/// A quoted string: quotes and backslashes escaped, line ends as `\n`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
