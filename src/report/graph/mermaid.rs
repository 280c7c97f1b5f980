//! A chart as Mermaid, for Markdown pages that draw it.

use super::{Box, Chart, Shape};

/// The chart as a flowchart from top to bottom.
pub fn mermaid(chart: &Chart) -> String {
    let mut text = String::from("flowchart TD\n");
    for (index, node) in chart.boxes.iter().enumerate() {
        text += &format!("  n{index}{}\n", shaped(node));
    }
    for arrow in &chart.arrows {
        let label = if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&arrow.label)) };
        text += &format!("  n{} -->{label} n{}\n", arrow.from, arrow.to);
    }
    text
}

fn shaped(node: &Box) -> String {
    let label = node.texts().map(escaped).collect::<Vec<_>>().join("<br/>");
    match (node.shape, node.is_many) {
        (Shape::Stage, true) => format!("[[\"{label}\"]]"),
        (Shape::Stage, false) => format!("[\"{label}\"]"),
        (Shape::Source, _) => format!("[(\"{label}\")]"),
        (Shape::Target, _) => format!("([\"{label}\"])"),
        (Shape::Compare, _) => format!("{{{{\"{label}\"}}}}"),
    }
}

/// Signs that end a label, or that Mermaid and HTML read otherwise, as entities.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for sign in text.chars() {
        match sign {
            '"' => escaped.push_str("#quot;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '#' | '&' | '`' | '\\' | '|' | ';' => escaped.push_str(&format!("#{};", sign as u32)),
            '\n' | '\r' => escaped.push(' '),
            plain => escaped.push(plain),
        }
    }
    escaped
}
