//! What a run calls its stages, and whom it tells.

use super::Engine;
use crate::base::event::{Event, StageRef};
use crate::plan::Node;

impl<'a> Engine<'a> {
    pub(super) fn pass_on_news(&self) {
        self.world.remote.iter().flat_map(|remote| remote.news()).for_each(|event| self.tell(event));
    }

    pub(super) fn node(&self, index: usize) -> &'a Node {
        self.world.graph.node(index)
    }

    pub(super) fn stage(&self, index: usize) -> StageRef {
        let node = self.node(index);
        StageRef { key: node.key, kind: node.kind.clone(), name: self.name(index) }
    }

    /// The name the file gives a stage; where it gives none, the first result that the stage is, such as a cell.
    pub(super) fn name(&self, index: usize) -> String {
        let node = self.node(index);
        let label = self.labels.get(&index).filter(|_| node.name == node.kind);
        label.map_or_else(|| node.name.clone(), ToString::to_string)
    }

    pub(super) fn declared_at(&self, index: usize) -> String {
        let (file, position) = self.world.sources.locate(self.node(index).span);
        format!("{file}:{}:{}", position.line, position.column)
    }

    pub(super) fn source_line(&self, index: usize) -> String {
        let span = self.node(index).span;
        let (_, position) = self.world.sources.locate(span);
        self.world.sources.file(span.source).line(position.line).to_string()
    }

    pub(super) fn tell(&self, event: Event) {
        self.world.sink.emit(&event);
    }
}
