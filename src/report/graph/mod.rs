//! The stage graph as a picture: boxes and arrows as data, drawn as DOT, Mermaid or SVG.

mod dot;
mod layers;
mod mermaid;
mod svg;

pub use dot::dot;
pub use mermaid::mermaid;
pub use svg::svg;

/// Boxes and arrows; an arrow leads from a box to a later one.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// The boxes.
    pub boxes: Vec<Box>,
    /// The arrows.
    pub arrows: Vec<Arrow>,
}

/// What a box stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A stage that takes something.
    Stage,
    /// A stage that takes nothing: where values come from.
    Source,
    /// A pipeline or a sweep: what the file wants made.
    Target,
    /// A comparison of a sweep's cells.
    Compare,
}

/// A stage, several alike, or a target.
#[derive(Clone, Debug)]
pub struct Box {
    /// What it stands for.
    pub shape: Shape,
    /// Its name, with how many it stands for.
    pub title: String,
    /// What else there is to say, a line each.
    pub lines: Vec<String>,
    /// Whether it stands for several.
    pub is_many: bool,
}

/// What leads from one box to another.
#[derive(Clone, Debug)]
pub struct Arrow {
    /// The box it starts from.
    pub from: usize,
    /// The box it ends at.
    pub to: usize,
    /// The roles it has there, or the cells it gives.
    pub label: String,
}

impl Box {
    /// Title and lines.
    fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.title.as_str()).chain(self.lines.iter().map(String::as_str))
    }
}
