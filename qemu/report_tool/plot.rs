//! Drawings, as SVG, by `plotters`. Their colours are those of [`INK`], [`GRID`] and [`SERIES`]; `page.css` replaces them
//! where the reader wants it dark.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::axis::Axis;
use crate::html::escaped;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

const INK: RGBColor = RGBColor(0x1F, 0x23, 0x28);
const GRID: RGBColor = RGBColor(0xD0, 0xD7, 0xDE);
/// Told apart by those who see few colours, too (Okabe and Ito, "Color Universal Design").
const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x8A, 0x6D, 0x00),
    RGBColor(0x56, 0x56, 0x56),
];
/// What stands for each series' marker in a legend.
const MARKERS: [&str; 4] = ["●", "▲", "■", "✚"];
/// Twice what is shown, because coordinates are whole numbers.
const WIDTH: u32 = 840;
const HEIGHT: u32 = 540;
const LETTER: i32 = 29;
/// The least width of a line; nothing else is as wide.
const LINE: u32 = 5;
/// How many letters a horizontal axis has room for.
pub(crate) const LETTERS: usize = 44;
const ROW: u32 = 44;

/// One line of a plot.
pub(crate) struct Line {
    /// Its number among all runs, which gives its colour and its markers.
    pub(crate) series: usize,
    pub(crate) points: Vec<Point>,
}

/// A point of a line, and how far its samples reach.
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

/// A mark in a plot of rows.
pub(crate) struct Mark {
    pub(crate) row: usize,
    pub(crate) series: usize,
    pub(crate) amount: f64,
}

/// Names series by their colours and markers, in HTML.
pub(crate) fn legend<'a>(series: impl Iterator<Item = (usize, &'a str)>) -> String {
    let items = series.map(|(series, label)| {
        let (colour, marker) = (series % SERIES.len(), MARKERS[series % MARKERS.len()]);
        let label = escaped(label);
        format!("<li><span class=\"series{colour}\" aria-hidden=\"true\">{marker}</span> {label}</li>\n")
    });
    format!("<ul class=\"legend\">\n{}</ul>\n", items.collect::<String>())
}

/// A plot of lines.
pub(crate) fn lines(x: &Axis, y: &Axis, x_text: &str, y_text: &str, lines: &[Line]) -> Result<String, String> {
    drawn((WIDTH, HEIGHT), |area| {
        let mut chart = chart(area, x, y, 120)?;
        mesh(&mut chart, x_text, y_text)?;
        // Wider where others follow, so that lines which are the same are all seen.
        for (line, later) in lines.iter().zip((0..lines.len() as u32).rev()) {
            draw_line(&mut chart, line, 4 * later.min(4))?;
        }
        Ok(())
    })
}

/// A plot of rows with these names; a line stands at the amount `reference`.
pub(crate) fn rows(x: &Axis, names: &[&str], x_text: &str, reference: f64, marks: &[Mark]) -> Result<String, String> {
    let y = Axis::of_rows(names);
    let height = ROW * names.len() as u32 + 110;
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0) as u32;
    drawn((WIDTH, height), |area| {
        let mut chart = chart(area, x, &y, 30 + 15 * longest)?;
        mesh(&mut chart, x_text, "")?;
        chart.draw_series([PathElement::new([(reference, y.low), (reference, y.high)], INK.stroke_width(3))])?;
        for mark in marks {
            marker(&mut chart, (mark.amount, -(mark.row as f64)), mark.series, 0)?;
        }
        Ok(())
    })
}

type Drawn = Result<(), Box<dyn Error>>;

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area) -> Drawn) -> Result<String, String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?)).map_err(|error| format!("a plot cannot be drawn: {error}"))?;
    }
    Ok(text)
}

fn chart<'a, 'b>(area: &'a Area<'b>, x: &Axis, y: &Axis, left: u32) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin_top(16).margin_right(30).margin_bottom(8).margin_left(8);
    builder.x_label_area_size(90).y_label_area_size(left);
    Ok(builder.build_cartesian_2d(x.clone(), y.clone())?)
}

fn mesh(chart: &mut Chart, x_text: &str, y_text: &str) -> Drawn {
    let font = || ("sans-serif", LETTER).into_font().color(&INK);
    let mut mesh = chart.configure_mesh();
    mesh.bold_line_style(GRID.stroke_width(2)).light_line_style(TRANSPARENT).axis_style(INK.stroke_width(2));
    mesh.label_style(font()).axis_desc_style(font()).x_desc(x_text);
    if !y_text.is_empty() {
        mesh.y_desc(y_text);
    }
    Ok(mesh.draw()?)
}

fn draw_line(chart: &mut Chart, line: &Line, wider: u32) -> Drawn {
    let colour = SERIES[line.series % SERIES.len()];
    let upper = line.points.iter().map(|point| (point.x, point.high));
    let lower = line.points.iter().rev().map(|point| (point.x, point.low));
    chart.draw_series([Polygon::new(upper.chain(lower).collect::<Vec<_>>(), colour.mix(0.18))])?;
    let middles: Vec<_> = line.points.iter().map(|point| (point.x, point.middle)).collect();
    chart.draw_series([PathElement::new(middles.clone(), colour.stroke_width(LINE + wider))])?;
    middles.into_iter().try_for_each(|place| marker(chart, place, line.series, wider as i32))
}

fn marker(chart: &mut Chart, place: (f64, f64), series: usize, wider: i32) -> Drawn {
    let style = SERIES[series % SERIES.len()].filled();
    match series % MARKERS.len() {
        0 => chart.draw_series([Circle::new(place, 9 + wider, style)]).map(|_| ())?,
        1 => chart.draw_series([TriangleMarker::new(place, 13 + wider, style)]).map(|_| ())?,
        2 => {
            let half = 8 + wider;
            let square = EmptyElement::at(place) + Rectangle::new([(-half, -half), (half, half)], style);
            chart.draw_series([square]).map(|_| ())?;
        }
        _ => chart.draw_series([Cross::new(place, 10 + wider, style.stroke_width(6))]).map(|_| ())?,
    }
    Ok(())
}
