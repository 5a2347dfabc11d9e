//! Draws lines over axes, and rows of marks, on white, with a legend beside them.
//!
//! It knows no report. Positions are worked out here and not by the library's scales, which cannot be told where on a
//! logarithm labels are to stand.

use super::style::{self, Look};
use crate::document::words;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;
use std::ops::Range;

const FONT: &str = "sans-serif";
const GRID: RGBColor = RGBColor(224, 224, 224);
const INK: RGBColor = RGBColor(40, 40, 40);
const PANEL: (u32, u32) = (560, 440);
const LEGEND_WIDTH: u32 = 160;
const TITLE_HEIGHT: u32 = 40;
const ROW_HEIGHT: u32 = 36;
/// Of the axis that the labels of a panel have room in.
const MARGIN: f64 = 0.06;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
/// What drawing into a string can fail with: nothing, in fact.
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// One of some drawings side by side, which share a legend.
pub(super) struct Panel {
    pub(super) caption: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// The last is on top.
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) contestant: String,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Of `y`.
    pub(super) interval: Option<(f64, f64)>,
}

/// A contestant and its figures, each with a mark of its own.
pub(super) struct Row {
    pub(super) contestant: String,
    pub(super) circle: f64,
    pub(super) diamond: Option<f64>,
}

#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// With its unit.
    title: String,
    is_logarithmic: bool,
    /// Where labels stand.
    ticks: Vec<(f64, String)>,
    range: Range<f64>,
}

impl Axis {
    /// Labels at these values and nowhere else.
    pub(super) fn logarithmic(title: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let ticks: Vec<(f64, String)> =
            values.into_iter().map(|value| (value.log10(), short(value))).collect();
        let range = around(ticks.iter().map(|(place, _)| *place));
        Self { title: title.to_owned(), is_logarithmic: true, ticks, range }
    }

    /// As wide as the lines are high, or wider; with at least so many decades.
    pub(super) fn logarithmic_over(title: &str, lines: &[Line], decades: u32) -> Self {
        let points = lines.iter().flat_map(|line| &line.points);
        let values = points.flat_map(|point| {
            let (low, high) = point.interval.unwrap_or((point.y, point.y));
            [low, point.y, high]
        });
        Self::logarithmic_around(title, values, decades)
    }

    fn logarithmic_around(title: &str, values: impl Iterator<Item = f64>, decades: u32) -> Self {
        let range = around(values.filter(|value| *value > 0.0).map(f64::log10));
        let missing = (f64::from(decades) - (range.end - range.start)).max(0.0);
        let range = range.start - missing / 2.0..range.end + missing / 2.0;
        Self { title: title.to_owned(), is_logarithmic: true, ticks: decade_ticks(&range), range }
    }

    /// Names instead of numbers, at 0, 1, 2 and so on.
    pub(super) fn named(title: &str, names: &[&str]) -> Self {
        let ticks: Vec<(f64, String)> =
            names.iter().enumerate().map(|(place, name)| (place as f64, (*name).to_owned())).collect();
        let range = around(ticks.iter().map(|(place, _)| *place));
        Self { title: title.to_owned(), is_logarithmic: false, ticks, range }
    }

    fn place(&self, value: f64) -> f64 {
        // What a logarithm has no place for lies at the edge.
        if self.is_logarithmic { if value > 0.0 { value.log10() } else { self.range.start } } else { value }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, limit: (i32, i32)) -> i32 {
        let share = (place - self.range.start) / (self.range.end - self.range.start);
        // Pixels of a plot fit.
        #[allow(clippy::cast_possible_truncation)]
        let pixels = (share * f64::from(limit.1 - limit.0)).round() as i32;
        limit.0 + pixels
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| (tick - place).abs() < 1e-9);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

/// From the least to the greatest, and a margin; some width where they are the same.
fn around(places: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = places
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
    if low > high {
        return 0.0..1.0;
    }
    let margin = ((high - low) * MARGIN).max(0.04);
    low - margin..high + margin
}

/// Labels of a decade, the first that give as many as are wanted.
const STEPS: [&[f64]; 5] = [
    &[1.0],
    &[1.0, 2.0, 5.0],
    &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
    &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0],
    &[
        1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0,
        8.0, 9.0,
    ],
];
const TICKS_MIN: usize = 5;

/// Round numbers, not too few of them.
fn decade_ticks(range: &Range<f64>) -> Vec<(f64, String)> {
    let mut ticks = Vec::new();
    for steps in STEPS {
        ticks.clear();
        let mut decade = range.start.floor();
        while decade <= range.end {
            let places = steps.iter().map(|step| decade + step.log10());
            let there = places.filter(|place| range.contains(place));
            ticks.extend(there.map(|place| (place, short(10.0_f64.powf(place)))));
            decade += 1.0;
        }
        if ticks.len() >= TICKS_MIN {
            break;
        }
    }
    ticks
}

/// Without zeros behind the point.
fn short(value: f64) -> String {
    words::number(value, 4).trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Panels side by side as SVG; `None` if there is no line in any.
pub(super) fn panels(title: &str, panels: &[Panel]) -> anyhow::Result<Option<String>> {
    let mut names: Vec<&str> = Vec::new();
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        if !names.contains(&line.contestant.as_str()) {
            names.push(&line.contestant);
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let count = u32::try_from(panels.len())?;
    let size = (PANEL.0 * count + LEGEND_WIDTH, PANEL.1 + TITLE_HEIGHT);
    svg(title, size, |area| {
        let (plots, right) = area.split_horizontally(PANEL.0 * count);
        for (panel, area) in panels.iter().zip(plots.split_evenly((1, panels.len()))) {
            panel.draw(&area)?;
        }
        for (row, name) in (0..).zip(&names) {
            legend(&right, 40 + row * 26, name, style::look(name))?;
        }
        Ok(())
    })
    .map(Some)
}

/// One row for each contestant as SVG; `None` if there is none. `meanings` is what a circle and what a diamond stands for.
pub(super) fn rows(
    title: &str,
    unit: &str,
    meanings: [&str; 2],
    rows: &[Row],
) -> anyhow::Result<Option<String>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let height = TITLE_HEIGHT + 80 + u32::try_from(rows.len())? * ROW_HEIGHT;
    let values = rows.iter().flat_map(|row| [Some(row.circle), row.diamond]).flatten();
    let mut x = Axis::logarithmic_around(unit, values, 1);
    // Lengthwise there is no room for three labels to a decade.
    let decades: Vec<(f64, String)> =
        x.ticks.iter().filter(|(place, _)| (place - place.round()).abs() < 1e-9).cloned().collect();
    if decades.len() > 1 {
        x.ticks = decades;
    }
    // The figures stand behind their marks.
    x.range.end += (x.range.end - x.range.start) * 0.5;
    let names: Vec<&str> = rows.iter().rev().map(|row| row.contestant.as_str()).collect();
    let y = Axis { range: -0.5..rows.len() as f64 - 0.5, ..Axis::named("", &names) };
    svg(title, (PANEL.0 + LEGEND_WIDTH, height), |area| {
        let mut builder = ChartBuilder::on(area);
        builder.margin(12).x_label_area_size(46).y_label_area_size(120);
        let mut chart = builder.build_cartesian_2d(x.clone(), y)?;
        mesh(&mut chart, unit, "")?;
        let area = chart.plotting_area();
        for (place, row) in rows.iter().rev().enumerate() {
            let (look, y) = (style::look(&row.contestant), place as f64);
            let circle = x.place(row.circle);
            area.draw(&(EmptyElement::at((circle, y)) + Circle::new((0, 0), 8, look.color.filled())))?;
            let mut label = format!("{} {}", meanings[0], words::rounded(row.circle.round()));
            let mut end = circle;
            if let Some(value) = row.diamond {
                let diamond = x.place(value);
                area.draw(&(EmptyElement::at((diamond, y)) + rhomb(9, BLACK) + rhomb(6, WHITE)))?;
                // Writing to a string cannot fail.
                let _ = write!(label, ", {} {}", meanings[1], words::rounded(value.round()));
                end = end.max(diamond);
            }
            area.draw(&(EmptyElement::at((end, y)) + Text::new(label, (16, 0), text(18, HPos::Left))))?;
        }
        Ok(())
    })
    .map(Some)
}

/// Draws the axes and the grid of a chart.
fn mesh(chart: &mut Chart<'_, '_>, x_title: &str, y_title: &str) -> Drawn {
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style((FONT, 17).into_font().color(&INK))
        .axis_desc_style((FONT, 18).into_font().color(&INK))
        .x_desc(x_title);
    if !y_title.is_empty() {
        mesh.y_desc(y_title);
    }
    mesh.draw()
}

fn rhomb(radius: i32, color: RGBColor) -> Polygon<(i32, i32)> {
    Polygon::new(vec![(0, -radius), (radius, 0), (0, radius), (-radius, 0)], color.filled())
}

impl Panel {
    fn draw(&self, area: &Area<'_>) -> Drawn {
        let Self { x, y, .. } = self;
        let mut builder = ChartBuilder::on(area);
        builder.margin(12).x_label_area_size(46).y_label_area_size(104);
        if !self.caption.is_empty() {
            builder.caption(&self.caption, (FONT, 20).into_font().color(&INK));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        mesh(&mut chart, &x.title, &y.title)?;
        for line in &self.lines {
            let look = style::look(&line.contestant);
            let points = line.points.iter();
            let places: Vec<(f64, f64)> = points.map(|point| (x.place(point.x), y.place(point.y))).collect();
            if look.dashed {
                chart.draw_series(DashedLineSeries::new(places.clone(), 8, 5, look.line()))?;
            } else {
                chart.draw_series(LineSeries::new(places.clone(), look.line()))?;
            }
            let area = chart.plotting_area();
            for (point, place) in line.points.iter().zip(places) {
                if let Some((low, high)) = point.interval {
                    let ends = vec![(place.0, y.place(low)), (place.0, y.place(high))];
                    area.draw(&PathElement::new(ends, look.color.mix(0.6).stroke_width(2)))?;
                }
                look.draw(area, place)?;
            }
        }
        Ok(())
    }
}

/// One line of the legend.
fn legend(area: &Area<'_>, y: i32, name: &str, look: Look) -> Drawn {
    let ends = [(4, y), (40, y)];
    if look.dashed {
        for start in [4, 17, 30] {
            area.draw(&PathElement::new(vec![(start, y), (start + 8, y)], look.line()))?;
        }
    } else {
        area.draw(&PathElement::new(ends.to_vec(), look.line()))?;
    }
    look.draw(area, (22, y))?;
    area.draw(&Text::new(name.to_owned(), (50, y), text(18, HPos::Left)))
}

fn text(size: u32, horizontal: HPos) -> TextStyle<'static> {
    let font = (FONT, size).into_font();
    TextStyle::from(font).color(&INK).pos(Pos::new(horizontal, VPos::Center))
}

/// A white sheet with a title, for eyes and for who has it read out.
fn svg(title: &str, size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> anyhow::Result<String> {
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, size).into_drawing_area();
        area.fill(&WHITE)?;
        let (top, rest) = area.split_vertically(TITLE_HEIGHT);
        let middle = (i32::try_from(size.0 / 2)?, 24);
        top.draw(&Text::new(title.to_owned(), middle, text(23, HPos::Center)))?;
        draw(&rest)?;
        area.present()?;
    }
    let head = out.find("<svg").and_then(|start| Some(start + out[start..].find('>')? + 1));
    if let Some(head) = head {
        let title = title.replace('&', "&amp;").replace('<', "&lt;");
        out.insert_str(head, &format!("\n<title>{title}</title>"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_logarithm_are_round_and_few() {
        let ranges = [0.0..1.0, 2.9..6.0, 0.0..0.5, -0.05..0.2, 0.0..9.0];
        let expected = [(6, "1"), (9, "1,000"), (6, "1"), (9, "0.9"), (9, "1")];
        for (range, (count, first)) in ranges.into_iter().zip(expected) {
            let ticks = decade_ticks(&range);
            assert_eq!((ticks.len(), ticks[0].1.as_str()), (count, first), "{range:?} {ticks:?}");
        }
    }
}
