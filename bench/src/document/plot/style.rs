//! How each contestant looks in every plot: a colour that the colour-blind can tell apart, a marker, a line.
//!
//! Source of the colours: Okabe and Ito, Color Universal Design, 2008; without the yellow, which white swallows. It draws
//! nothing but markers.

use crate::compare::{AXUM, FANFARE, FLOOR_CURSOR, FLOOR_SEND, FLOOR_URING};
use plotters::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) color: RGBColor,
    pub(super) marker: Marker,
    pub(super) width: u32,
    pub(super) dashed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Up,
    Down,
    Diamond,
    Cross,
    Plus,
    Ring,
}

/// Whoever is not known by name has one of these.
const OTHERS: [(RGBColor, Marker); 2] =
    [(RGBColor(120, 80, 40), Marker::Ring), (RGBColor(90, 90, 160), Marker::Plus)];

pub(super) fn is_hub(contestant: &str) -> bool {
    contestant.starts_with(FANFARE)
}

/// The hub is thick, floors are dashed.
pub(super) fn look(contestant: &str) -> Look {
    let (color, marker) = match contestant {
        FLOOR_SEND => (RGBColor(130, 130, 130), Marker::Plus),
        FLOOR_CURSOR => (RGBColor(0, 0, 0), Marker::Cross),
        FLOOR_URING => (RGBColor(86, 180, 233), Marker::Ring),
        AXUM => (RGBColor(230, 159, 0), Marker::Square),
        "nchan" => (RGBColor(0, 158, 115), Marker::Up),
        "better-sse" => (RGBColor(204, 121, 167), Marker::Down),
        FANFARE => (RGBColor(213, 94, 0), Marker::Circle),
        "fanfare-uring" => (RGBColor(0, 114, 178), Marker::Diamond),
        other => OTHERS[other.len() % OTHERS.len()],
    };
    let hub = is_hub(contestant);
    Look { color, marker, width: if hub { 4 } else { 2 }, dashed: contestant.starts_with("floor-") }
}

impl Look {
    pub(super) fn line(self) -> ShapeStyle {
        self.color.stroke_width(self.width)
    }

    /// Half of the marker's extent, in pixels.
    pub(super) fn radius(self) -> i32 {
        if self.width > 2 { 6 } else { 5 }
    }

    /// The marker at a pixel.
    pub(super) fn draw<DB: DrawingBackend, CT: CoordTranslate>(
        self,
        area: &DrawingArea<DB, CT>,
        at: CT::From,
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>>
    where
        CT::From: Clone,
    {
        let r = self.radius();
        let corners = |corners: &[(i32, i32)]| Polygon::new(corners.to_vec(), self.color.filled());
        let stroke = |from, to| PathElement::new(vec![from, to], self.color.stroke_width(2));
        let at = EmptyElement::at(at);
        match self.marker {
            Marker::Circle => area.draw(&(at + Circle::new((0, 0), r, self.color.filled()))),
            Marker::Ring => area.draw(
                &(at + Circle::new((0, 0), r, WHITE.filled())
                    + Circle::new((0, 0), r, self.color.stroke_width(2))),
            ),
            Marker::Square => area.draw(&(at + corners(&[(-r, -r), (r, -r), (r, r), (-r, r)]))),
            Marker::Up => area.draw(&(at + corners(&[(0, -r), (r, r), (-r, r)]))),
            Marker::Down => area.draw(&(at + corners(&[(0, r), (r, -r), (-r, -r)]))),
            Marker::Diamond => {
                area.draw(&(at + corners(&[(0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)])))
            }
            Marker::Cross => area.draw(&(at + stroke((-r, -r), (r, r)) + stroke((-r, r), (r, -r)))),
            Marker::Plus => area.draw(&(at + stroke((-r, 0), (r, 0)) + stroke((0, -r), (0, r)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_contestants_look_alike() {
        let all = [
            FLOOR_SEND,
            FLOOR_CURSOR,
            FLOOR_URING,
            AXUM,
            "nchan",
            "better-sse",
            FANFARE,
            "fanfare-uring",
            "one",
            "four",
        ]
        .map(look);
        for (index, one) in all.iter().enumerate() {
            for other in &all[..index] {
                assert_ne!(one.color, other.color);
                assert!(one.marker != other.marker || one.dashed != other.dashed, "{one:?} {other:?}");
            }
        }
    }
}
