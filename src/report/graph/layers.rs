//! A layered layout: boxes in rows by their longest way from a source, long arrows in lanes of their own.

use std::collections::BTreeMap;

/// Between two boxes, or a box and a lane, of a row.
const BETWEEN: f64 = 22.0;
/// The width of a lane.
const LANE: f64 = 8.0;
/// Between two rows: where arrows bend.
const BEND: f64 = 34.0;
/// Above a row whose arrows have labels.
const LABELS: f64 = 17.0;
/// Around the whole.
const MARGIN: f64 = 12.0;
/// How often rows are ordered, and placed, by their neighbours.
const ROUNDS: usize = 8;

/// What is to be laid out.
pub struct Wanted {
    /// Width and height of each box; an arrow leads to a later box.
    pub sizes: Vec<(f64, f64)>,
    /// From, to, and the width that the arrow's end needs above its box.
    pub arrows: Vec<(usize, usize, f64)>,
}

/// Where everything is.
pub struct Placed {
    /// Left and top of each box.
    pub boxes: Vec<(f64, f64)>,
    /// The lines: an arrow is one or more of them, and arrows from one box share what they can.
    pub lines: Vec<Line>,
    /// For each arrow where its label begins: right of its end, above its box.
    pub labels: Vec<(f64, f64)>,
    /// Width and height of the whole.
    pub size: (f64, f64),
}

/// A line that goes straight down, bends, and goes straight down.
pub struct Line {
    /// Where it starts.
    pub from: (f64, f64),
    /// Where it begins to bend.
    pub bend: f64,
    /// Where it has bent.
    pub bent: f64,
    /// Where it ends.
    pub to: (f64, f64),
    /// Whether it ends at a box.
    pub is_end: bool,
}

/// Places boxes and arrows.
pub fn layout(wanted: &Wanted) -> Placed {
    let mut layout = Layout::new(wanted);
    layout.order();
    layout.place();
    layout.draw(wanted)
}

/// A box, or a piece of lane.
struct Vertex {
    row: usize,
    width: f64,
    above: Vec<usize>,
    below: Vec<usize>,
    center: f64,
}

struct Layout {
    /// The boxes first, then the lanes.
    vertices: Vec<Vertex>,
    rows: Vec<Vec<usize>>,
    /// For each arrow the vertex from which its last line comes.
    last: Vec<usize>,
}

impl Layout {
    fn new(wanted: &Wanted) -> Self {
        let ranks = ranks(wanted);
        let vertex = |row, width| Vertex { row, width, above: Vec::new(), below: Vec::new(), center: 0.0 };
        let mut vertices: Vec<Vertex> =
            wanted.sizes.iter().zip(&ranks).map(|(&(width, _), &row)| vertex(row, width)).collect();
        let mut lanes: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        let mut last = Vec::with_capacity(wanted.arrows.len());
        for &(from, to, _) in &wanted.arrows {
            let mut at = from;
            for row in ranks[from] + 1..ranks[to] {
                at = *lanes.entry((from, row)).or_insert_with(|| {
                    vertices.push(vertex(row, LANE));
                    let lane = vertices.len() - 1;
                    vertices[lane].above.push(at);
                    vertices[at].below.push(lane);
                    lane
                });
            }
            vertices[to].above.push(at);
            vertices[at].below.push(to);
            last.push(at);
        }
        let mut rows = vec![Vec::new(); ranks.iter().max().map_or(0, |most| most + 1)];
        for (index, vertex) in vertices.iter().enumerate() {
            rows[vertex.row].push(index);
        }
        Layout { vertices, rows, last }
    }

    /// Orders each row by where its neighbours stand, so that few lines cross.
    fn order(&mut self) {
        let mut places = vec![0.0; self.vertices.len()];
        for round in 0..ROUNDS {
            let downwards = round % 2 == 0;
            for step in 0..self.rows.len() {
                let row = if downwards { step } else { self.rows.len() - 1 - step };
                let key = |&index: &usize| {
                    let vertex = &self.vertices[index];
                    let beside = if downwards { &vertex.above } else { &vertex.below };
                    mean(beside.iter().map(|&other| places[other])).unwrap_or(places[index])
                };
                let mut keyed: Vec<(f64, usize)> = self.rows[row].iter().map(|index| (key(index), *index)).collect();
                keyed.sort_by(|left, right| left.0.total_cmp(&right.0));
                self.rows[row] = keyed.into_iter().map(|(_, index)| index).collect();
                let count = self.rows[row].len() as f64;
                for (place, &index) in self.rows[row].iter().enumerate() {
                    places[index] = (place as f64 + 0.5) / count;
                }
            }
        }
    }

    /// Moves the boxes of each row towards their neighbours, as far as they leave each other room.
    fn place(&mut self) {
        for row in 0..self.rows.len() {
            self.settle(row, |_| Vec::new());
        }
        for round in 0..ROUNDS {
            for step in 0..self.rows.len() {
                match round {
                    _ if round + 1 == ROUNDS => {
                        self.settle(step, |vertex| [vertex.above.as_slice(), vertex.below.as_slice()].concat());
                    }
                    _ if round % 2 == 0 => self.settle(step, |vertex| vertex.above.clone()),
                    _ => self.settle(self.rows.len() - 1 - step, |vertex| vertex.below.clone()),
                }
            }
        }
        let lefts = self.vertices.iter().map(|vertex| vertex.center - vertex.width / 2.0);
        let shift = MARGIN - lefts.fold(f64::INFINITY, f64::min);
        self.vertices.iter_mut().for_each(|vertex| vertex.center += shift);
    }

    /// The nearest centers to the wanted ones that keep order and distance: least squares, by pooling neighbours that
    /// want to pass each other.
    fn settle(&mut self, row: usize, beside: impl Fn(&Vertex) -> Vec<usize>) {
        let mut offset = 0.0;
        let mut pools: Vec<(f64, f64)> = Vec::new();
        let mut offsets = Vec::with_capacity(self.rows[row].len());
        for (place, &index) in self.rows[row].iter().enumerate() {
            let vertex = &self.vertices[index];
            if place > 0 {
                let before = &self.vertices[self.rows[row][place - 1]];
                offset += (before.width + vertex.width) / 2.0 + BETWEEN;
            }
            offsets.push(offset);
            let neighbours = beside(vertex);
            let center = mean(neighbours.iter().map(|&other| self.vertices[other].center)).unwrap_or(vertex.center);
            let (mut sum, mut count) = (center - offset, 1.0);
            while let Some(&(before, size)) = pools.last().filter(|(before, size)| before / size > sum / count) {
                pools.pop();
                (sum, count) = (sum + before, count + size);
            }
            pools.push((sum, count));
        }
        let centers = pools.iter().flat_map(|&(sum, count)| std::iter::repeat_n(sum / count, count as usize));
        for ((&index, offset), center) in self.rows[row].iter().zip(offsets).zip(centers) {
            self.vertices[index].center = center + offset;
        }
    }

    fn draw(&self, wanted: &Wanted) -> Placed {
        let height = |&index: &usize| wanted.sizes.get(index).map(|size| size.1);
        let heights: Vec<f64> = self.rows.iter().map(|row| row.iter().filter_map(height).fold(0.0, f64::max)).collect();
        let tops: Vec<f64> = heights
            .iter()
            .scan(MARGIN, |next, height| {
                let top = *next;
                *next += height + BEND + LABELS;
                Some(top)
            })
            .collect();
        let ends = self.ends(wanted);
        let line = |from: usize, to: usize, x: f64, is_end: bool| {
            let (above, below) = (&self.vertices[from], &self.vertices[to]);
            let bottom = tops[above.row] + heights[above.row];
            let start = wanted.sizes.get(from).map_or(tops[above.row], |size| tops[above.row] + size.1);
            let top = tops[below.row];
            Line { from: (above.center, start), bend: bottom, bent: top - LABELS, to: (x, top), is_end }
        };
        let lanes = (wanted.sizes.len()..self.vertices.len()).flat_map(|lane| {
            let vertex = &self.vertices[lane];
            vertex.above.iter().map(move |&above| line(above, lane, vertex.center, false))
        });
        let arrows = wanted.arrows.iter().enumerate();
        let arrows = arrows.map(|(index, &(_, to, _))| line(self.last[index], to, ends[index], true));
        let labels = wanted.arrows.iter().zip(&ends).map(|(&(_, to, _), x)| (*x, tops[self.vertices[to].row]));
        let right = self.vertices.iter().map(|vertex| vertex.center + vertex.width / 2.0).fold(0.0, f64::max);
        let boxes = self.vertices.iter().zip(&wanted.sizes);
        Placed {
            lines: lanes.chain(arrows).collect(),
            labels: labels.collect(),
            boxes: boxes.map(|(vertex, size)| (vertex.center - size.0 / 2.0, tops[vertex.row])).collect(),
            size: (right + MARGIN, tops.last().zip(heights.last()).map_or(0.0, |(top, last)| top + last) + MARGIN),
        }
    }

    /// Where each arrow ends: those of a box beside each other, in the order in which they come.
    fn ends(&self, wanted: &Wanted) -> Vec<f64> {
        let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); wanted.sizes.len()];
        for (index, &(_, to, _)) in wanted.arrows.iter().enumerate() {
            incoming[to].push(index);
        }
        let mut ends = vec![0.0; wanted.arrows.len()];
        for (to, arrows) in incoming.iter_mut().enumerate() {
            let start = |&index: &usize| self.vertices[self.last[index]].center;
            arrows.sort_by(|left, right| start(left).total_cmp(&start(right)));
            let total: f64 = arrows.iter().map(|&index| wanted.arrows[index].2).sum();
            let mut left = self.vertices[to].center - total / 2.0;
            for &index in arrows.iter() {
                // A lone arrow ends in the middle, its label beside it.
                ends[index] = if arrows.len() == 1 { self.vertices[to].center } else { left + 6.0 };
                left += wanted.arrows[index].2;
            }
        }
        ends
    }
}

/// The row of each box: below all it takes from; sources right above what takes from them.
fn ranks(wanted: &Wanted) -> Vec<usize> {
    let mut ranks = vec![0; wanted.sizes.len()];
    let mut incoming: Vec<Vec<usize>> = vec![Vec::new(); wanted.sizes.len()];
    for &(from, to, _) in &wanted.arrows {
        incoming[to].push(from);
    }
    for (index, from) in incoming.iter().enumerate() {
        ranks[index] = from.iter().map(|&from| ranks[from] + 1).max().unwrap_or(0);
    }
    let mut lowest = vec![usize::MAX; ranks.len()];
    for &(from, to, _) in &wanted.arrows {
        lowest[from] = lowest[from].min(ranks[to] - 1);
    }
    for (index, from) in incoming.iter().enumerate() {
        if from.is_empty() && lowest[index] != usize::MAX {
            ranks[index] = lowest[index];
        }
    }
    ranks
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
