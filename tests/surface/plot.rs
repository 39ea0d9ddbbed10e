//! Pictures, read back as documents: what they show against what they were given.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use decoupled::data::Examples;
use decoupled::layer::{Activation, Conv1d, Conv2d, ConvTranspose2d};
use decoupled::loss::SoftmaxCrossEntropy;
use decoupled::plot::{self, Picture};
use decoupled::{Dataset, DecoupledNetwork, EpochReport, Error, FitConfig, FitReport, MatRef, Scores};
use nalgebra::DMatrix;

/// An element with its attributes and its own text.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

impl Element {
    fn number(&self, key: &str) -> f64 {
        self.attributes[key].parse().unwrap()
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let number = |text: &str| text.parse().unwrap();
        let pairs = self.attributes["points"].split_whitespace().map(|pair| pair.split_once(',').unwrap());
        pairs.map(|(x, y)| (number(x), number(y))).collect()
    }
}

fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';').expect("an ampersand begins an entity");
        let entities = [("lt", '<'), ("gt", '>'), ("amp", '&'), ("quot", '"'), ("apos", '\'')];
        plain.push(entities.iter().find(|(name, _)| *name == entity).expect("a known entity").1);
        plain.push_str(rest);
    }
    plain
}

/// The elements of a document; panics unless it is well-formed.
fn parse(document: &str) -> Vec<Element> {
    let legal = |c: char| c == '\n' || !(c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'));
    assert!(document.chars().all(legal), "a character that XML does not have");
    let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut parts = document.split('<');
    assert_eq!(parts.next(), Some(""));
    for part in parts {
        let (tag, text) = part.split_once('>').expect("every tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(elements[open.pop().expect("nothing to close")].name, name);
        } else {
            let empty = tag.ends_with('/');
            let (name, mut rest) = tag.trim_end_matches('/').split_once(' ').unwrap();
            let mut attributes = BTreeMap::new();
            while !rest.trim().is_empty() {
                let (key, value) = rest.split_once("=\"").expect("a quoted value");
                let (value, after) = value.split_once('"').unwrap();
                assert!(attributes.insert(key.trim().to_owned(), unescaped(value)).is_none(), "{key} stands twice");
                rest = after;
            }
            assert!(elements.is_empty() || !open.is_empty(), "two roots");
            if !empty {
                open.push(elements.len());
            }
            elements.push(Element { name: name.to_owned(), attributes, text: String::new() });
        }
        match open.last() {
            Some(&last) => elements[last].text += unescaped(text).trim(),
            None => assert_eq!(text.trim(), ""),
        }
    }
    assert!(open.is_empty());
    elements
}

fn named<'e>(elements: &'e [Element], name: &str) -> Vec<&'e Element> {
    elements.iter().filter(|element| element.name == name).collect()
}

fn texts(picture: &Picture) -> Vec<String> {
    named(&parse(picture.svg()), "text").iter().map(|element| element.text.clone()).collect()
}

#[track_caller]
fn assert_says(picture: &Picture, expected: &[&str]) {
    let found = texts(picture);
    for text in expected {
        assert!(found.iter().any(|own| own == text), "{text} is not among {found:?}");
    }
}

/// Relative luminance by Rec. 709, of linear light.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

fn report(epochs: impl Iterator<Item = (f64, f64, Option<f64>, Vec<f64>)>) -> FitReport {
    let one = half_plane(0.0, 0.0).fit(&three(), &FitConfig::new().epochs(1)).unwrap();
    let entry =
        |(i, (train_loss, energy, validation, residuals)): (usize, (f64, f64, Option<f64>, Vec<f64>))| EpochReport {
            epoch: i + 1,
            energy,
            train_loss,
            validation: validation.map(|loss| Scores { loss, score: None }),
            residuals,
            ..one.epochs[0].clone()
        };
    let epochs = epochs.enumerate().map(entry).collect();
    FitReport { epochs, ..one.clone() }
}

fn decaying(epochs: usize) -> FitReport {
    report((0..epochs).map(|i| {
        let loss = 2.0 * 0.8f64.powi(i as i32);
        (loss, 1.3 * loss, Some(loss + 0.1), vec![0.1 * loss, 0.01 * loss, 0.001 * loss])
    }))
}

/// Logits (0, x₁ cos φ + x₂ sin φ − shift): class 1 beyond a straight line.
fn half_plane(angle: f64, shift: f64) -> DecoupledNetwork<f64> {
    let net = DecoupledNetwork::builder(2).dense(2, Activation::Identity).output_loss(SoftmaxCrossEntropy::new());
    let mut net = net.threads(1).build().unwrap();
    net.set_params(0, &[0.0, angle.cos(), 0.0, angle.sin(), 0.0, -shift]).unwrap();
    let logits = net.predict(&DMatrix::from_column_slice(2, 1, &[3.0, 5.0])).unwrap();
    assert!((logits[1] - 3.0 * angle.cos() - 5.0 * angle.sin() + shift).abs() < 1e-12 && logits[0] == 0.0);
    net
}

/// Two examples of class 0 (circles) at (−1, −1) and (1, 0.5), and one of class 1.
fn three() -> Dataset<f64> {
    let inputs = Examples::from_rows(&[[-1.0, -1.0], [1.0, 0.5], [0.0, 1.0]]).unwrap();
    Dataset::classification(inputs, &[0, 0, 1], 2).unwrap()
}

/// The points of the only thick line that is not in the legend.
fn curve(picture: &Picture) -> Vec<(f64, f64)> {
    let elements = parse(picture.svg());
    let thick = named(&elements, "polyline").into_iter().filter(|line| line.number("stroke-width") == 18.0);
    let longest = thick.map(Element::points).max_by_key(Vec::len).unwrap();
    assert!(longest.len() > 2);
    longest
}

#[track_caller]
fn assert_straight(points: &[(f64, f64)]) {
    let (first, last) = (points[0], points[points.len() - 1]);
    for (i, point) in points.iter().enumerate() {
        let share = i as f64 / (points.len() - 1) as f64;
        let expected = (first.0 + share * (last.0 - first.0), first.1 + share * (last.1 - first.1));
        // A tenth of a pixel is one.
        assert!((point.0 - expected.0).abs() <= 1.0 && (point.1 - expected.1).abs() <= 1.0, "{point:?}, {expected:?}");
    }
    assert!(points.windows(2).all(|pair| pair[1].0 > pair[0].0), "from left to right");
}

/// Pictures whose entries rise evenly from 0 to 1.
fn ramps(count: usize, [channels, height, width]: [usize; 3]) -> Examples<f64> {
    let len = channels * height * width;
    let entries: Vec<f64> = (0..count * len).map(|i| (i % len) as f64 / (len - 1) as f64).collect();
    Examples::from_row_slice(&entries, count, len).unwrap()
}

/// A picture of 2 × 3 pixels, red from the left to the right, of which the lower row is not known.
fn half_known() -> Examples<f64> {
    let nan = f64::NAN;
    let red = [0.0, 0.4, 1.0, nan, nan, nan];
    let others = [0.0, 0.0, 0.0, nan, nan, nan];
    Examples::from_rows(&[[red, others, others].concat()]).unwrap().with_missing()
}

/// Pictures of three channels to four channels, and of four to two.
fn convolutions() -> DecoupledNetwork<f64> {
    let builder = DecoupledNetwork::builder([3, 5, 5]).conv2d(4, [2, 2], Activation::Tanh);
    builder.conv2d(2, [3, 3], Activation::Tanh).dense(2, Activation::Identity).threads(1).build().unwrap()
}

fn gallery() -> Vec<Picture> {
    let (fit, long, one) = (decaying(30), decaying(700), decaying(1));
    let similar = |rows: usize, columns: usize| -> Vec<Vec<f64>> {
        let value = |i: usize, j: usize| 1.0 / (1.0 + (i as f64 - j as f64).abs());
        (0..rows).map(|i| (0..columns).map(|j| value(i, j)).collect()).collect()
    };
    let words = "a long name of a network that nobody would want in a picture ".repeat(9);
    let many: Vec<(String, Vec<f64>)> = (0..40).map(|i| (format!("line {i}"), vec![f64::from(i); 3])).collect();
    let many: Vec<(&str, &[f64])> = many.iter().map(|(name, values)| (name.as_str(), &values[..])).collect();
    let pictures = [
        plot::training_curves(&[("a", &fit), ("<b> & 'c' \"d\"", &long), ("", &one), (&words, &fit)]),
        plot::residuals(&fit),
        plot::residuals(&long),
        plot::residuals(&one),
        plot::cka("decoupled", "BP", &similar(5, 5)),
        plot::cka("decoupled", "BP", &similar(12, 12)),
        plot::cka(&words, &words, &similar(1, 1)),
        plot::cka("", "\n\n\u{0}\u{1b}", &similar(2, 10)),
        plot::cka("a", "b", &similar(60, 40)),
        plot::barrier(&[("one\n\ntwo", &[1.0, 2.0, 1.0]), ("", &[1.0, 1.0])]),
        plot::barrier(&many),
        plot::depth_profile(&words, &[("a", &[1.0]), ("b", &[1e-9, 1e9])]),
        plot::depth_profile("constant", &[("a", &[0.0, -0.0, 0.0])]),
        plot::depth_profile("large", &[("a", &[123_456.0, 123_457.0, 123_999.0])]),
        plot::depth_profile("negative", &[("a", &[-1e-5, 2e-5])]),
        plot::depth_profile("two decades", &[("a", &[0.02, 2.1])]),
        plot::decision_boundary(&half_plane(0.3, 0.1), &three()),
        plot::pictures(&[("a", ramps(8, [1, 8, 8]).matrix()), (&words, ramps(3, [1, 8, 8]).matrix())], [1, 8, 8]),
        plot::pictures(&[("", half_known().matrix()), ("<&>", half_known().matrix())], [3, 2, 3]),
        plot::pictures(&[("many", ramps(200, [1, 2, 2]).matrix())], [1, 2, 2]),
        plot::filters(&convolutions(), 0),
        plot::filters(&convolutions(), 1),
        plot::feature_maps(&convolutions(), 0, ramps(1, [3, 5, 5]).matrix()),
        plot::feature_maps(&convolutions(), 1, ramps(40, [3, 5, 5]).matrix()),
    ];
    let mut pictures: Vec<_> = pictures.into_iter().map(Result::unwrap).collect();
    pictures.push(pictures[0].titled(&format!("<A title> & more; {words}")).unwrap());
    pictures
}

#[test]
fn every_picture_is_one_white_well_formed_document_without_blank_lines() {
    for picture in gallery() {
        let svg = picture.svg();
        assert!(svg.lines().all(|line| !line.trim().is_empty()) && svg.ends_with("</svg>\n"));
        let elements = parse(svg);
        let (root, ground) = (&elements[0], &elements[1]);
        assert_eq!((root.name.as_str(), root.attributes["xmlns"].as_str()), ("svg", "http://www.w3.org/2000/svg"));
        let size = (f64::from(picture.width()), f64::from(picture.height()));
        assert_eq!((root.number("width"), root.number("height")), size);
        assert_eq!(root.attributes["viewBox"], format!("0 0 {} {}", size.0 * 10.0, size.1 * 10.0));
        assert_eq!((ground.name.as_str(), ground.attributes["fill"].as_str()), ("rect", "#FFFFFF"));
        assert!(named(&elements, "text").len() > 3);
    }
}

/// Left, top, right and bottom of a text, in units, for letters 0.55 em wide.
fn extent(text: &Element) -> [f64; 4] {
    let (x, y, size) = (text.number("x"), text.number("y"), text.number("font-size"));
    let length = 0.55 * size * text.text.chars().count() as f64;
    let (before, after) = match text.attributes["text-anchor"].as_str() {
        "start" => (0.0, length),
        "middle" => (length / 2.0, length / 2.0),
        _ => (length, 0.0),
    };
    let half = 0.4 * size;
    match text.attributes.get("transform") {
        Some(turn) => {
            assert!(turn.starts_with("rotate(270,"));
            [x - half, y - after, x + half, y + before]
        }
        None => [x - before, y - half, x + after, y + half],
    }
}

#[test]
fn text_is_large_enough_inside_the_picture_and_never_on_other_text() {
    for picture in gallery().iter().rev().skip(1) {
        let elements = parse(picture.svg());
        let texts = named(&elements, "text");
        let boxes: Vec<_> = texts.iter().map(|text| extent(text)).collect();
        for (i, (text, own)) in texts.iter().zip(&boxes).enumerate() {
            assert!(text.number("font-size") >= 120.0, "{}", text.text);
            let (width, height) = (f64::from(picture.width()) * 10.0, f64::from(picture.height()) * 10.0);
            let inside = own[0] >= 0.0 && own[1] >= 0.0 && own[2] <= width && own[3] <= height;
            assert!(inside, "{}: {own:?} in {width} × {height}", text.text);
            for (other, theirs) in texts.iter().zip(&boxes).take(i) {
                let apart = own[2] < theirs[0] || theirs[2] < own[0] || own[3] < theirs[1] || theirs[3] < own[1];
                assert!(apart, "{:?} is on {:?}", text.text, other.text);
            }
        }
    }
}

#[test]
fn axes_and_lines_have_their_names() {
    let fit = decaying(30);
    let curves = plot::training_curves(&[("own", &fit)]).unwrap();
    assert_says(
        &curves,
        &["epoch", "loss, energy (mean per example)", "own, training", "own, validation", "own, energy"],
    );
    assert_says(&plot::residuals(&fit).unwrap(), &["epoch", "hidden layer", "1", "2", "3", "log₁₀(‖z − ẑ‖ / ‖z‖)"]);
    let cka = plot::cka("x", "y", &[vec![0.25, 1.0]]).unwrap();
    assert_says(&cka, &["layer of x", "layer of y", "CKA", "0.25", "1.00", "0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    let barrier = plot::barrier(&[("<&>", &[1.0, 3.0, 2.0]), ("two", &[1.0, 1.0])]).unwrap();
    assert_says(
        &barrier,
        &["<&>", "two", "α, from one network (0) to the other (1)", "loss (mean per example)", "0.0", "1.0"],
    );
    let depth = plot::depth_profile("what \"it\" is", &[("tail", &[1e-6, 1.0])]).unwrap();
    assert_says(&depth, &["what \"it\" is", "hidden layer", "tail", "1", "2", "10⁻⁶", "10⁰"]);
    let tiny = plot::depth_profile("w", &[("a", &[1e-6, 2e-6])]).unwrap();
    assert_says(&tiny, &["w (×10⁻⁶)", "1.0", "2.0"]);
    let constant = plot::depth_profile("w", &[("a", &[1.0, 1.0 + f64::EPSILON])]).unwrap();
    assert_says(&constant, &["0.98", "1.00", "1.02"]);
    let boundary = plot::decision_boundary(&half_plane(0.0, 0.0), &three()).unwrap();
    assert_says(&boundary, &["input 1", "input 2", "class 0", "class 1"]);
    assert_says(&boundary.titled(" Half  a\nplane ").unwrap(), &["Half a plane", "class 1"]);
}

#[test]
fn a_loss_without_an_energy_beside_it_is_named_alone() {
    let fit = report((0..5).map(|_| (1.0, 1.0, None, Vec::new())));
    assert_says(&plot::training_curves(&[("own", &fit)]).unwrap(), &["loss (mean per example)"]);
}

#[test]
fn a_title_is_broken_between_words_and_stays_inside_the_picture() {
    // Two of them have room beside one another, and a third has not.
    let words: Vec<String> = (0..10).map(|i| format!("{}{i}", "syllable".repeat(3))).collect();
    let picture = plot::barrier(&[("a", &[1.0, 2.0])]).unwrap().titled(&words.join(" ")).unwrap();
    let elements = parse(picture.svg());
    let bold = |element: &&Element| element.attributes.get("font-weight").is_some_and(|weight| weight == "bold");
    let lines: Vec<&Element> = elements.iter().filter(bold).collect();
    assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join(" "), words.join(" "));
    let width = f64::from(picture.width()) * 10.0;
    for line in &lines {
        let [left, _, right, _] = extent(line);
        assert!(left >= 0.0 && right <= width, "{}: {left} to {right} of {width}", line.text);
    }
    // All but the last take more than half of the width.
    let long = |line: &&Element| extent(line)[2] - extent(line)[0] > width / 2.0;
    assert!(lines.iter().take(lines.len() - 1).all(long), "{} lines", lines.len());
}

#[test]
fn every_line_is_drawn_once_and_named_once_with_a_marker_and_colour_of_its_own() {
    let values = [[1.0, 2.0, 3.0, 4.0], [2.0, 2.5, 3.0, 2.0], [0.5, 0.1, 0.2, 0.3]];
    let picture = plot::barrier(&[("a", &values[0]), ("b", &values[1]), ("c", &values[2])]).unwrap();
    let elements = parse(picture.svg());
    let thick: Vec<_> =
        named(&elements, "polyline").into_iter().filter(|line| line.number("stroke-width") == 18.0).collect();
    let mut colours: Vec<_> = thick.iter().map(|line| line.attributes["stroke"].clone()).collect();
    assert_eq!(thick.iter().filter(|line| line.points().len() == 4).count(), 3);
    assert_eq!(thick.iter().filter(|line| line.points().len() == 2).count(), 3);
    colours.sort_unstable();
    colours.dedup();
    assert_eq!(colours.len(), 3);
    // Circles, triangles and squares: four on the line, one in the legend.
    let polygons = named(&elements, "polygon");
    let corners = |count: usize| polygons.iter().filter(|shape| shape.points().len() == count).count();
    assert_eq!((named(&elements, "circle").len(), corners(3), corners(4)), (5, 5, 5));
}

#[test]
fn a_linear_series_is_straight_and_larger_is_higher() {
    let rising = curve(&plot::barrier(&[("a", &[-1.0, 0.5, 2.0, 3.5, 5.0])]).unwrap());
    assert_straight(&rising);
    assert!(rising.windows(2).all(|pair| pair[1].1 < pair[0].1));
    let falling = curve(&plot::depth_profile("v", &[("a", &[99.0, 66.0, 33.0, 1.0])]).unwrap());
    assert!(falling.windows(2).all(|pair| pair[1].1 > pair[0].1));
    assert_straight(&falling[..3]);
}

#[test]
fn a_geometric_series_is_straight_where_the_axis_is_logarithmic() {
    let geometric: Vec<f64> = (0..9).map(|i| 10f64.powi(-i)).collect();
    assert_straight(&curve(&plot::depth_profile("v", &[("a", &geometric)]).unwrap()));
    let fit = report((0..9).map(|i| (10f64.powi(-i), 10f64.powi(-i), None, Vec::new())));
    assert_straight(&curve(&plot::training_curves(&[("a", &fit)]).unwrap()));
    // Not where a value is zero.
    let with_zero: Vec<f64> = (0..8).map(|i| f64::from(i) * 1000.0).collect();
    assert_straight(&curve(&plot::depth_profile("v", &[("a", &with_zero)]).unwrap()));
}

#[test]
fn numbers_along_a_logarithmic_axis_stand_at_their_logarithms() {
    let picture = plot::depth_profile("v", &[("a", &[1.0, 3.0, 40.0, 150.0])]).unwrap();
    let elements = parse(picture.svg());
    let heights: BTreeMap<&str, f64> = ["1", "2", "5", "10", "20", "50", "100"]
        .into_iter()
        .map(|number| {
            // Layers are numbered below the other axis.
            let left = |text: &&&Element| text.text == number;
            let all = named(&elements, "text");
            let text = all.iter().filter(left).min_by(|a, b| a.number("x").total_cmp(&b.number("x"))).unwrap();
            (number, text.number("y"))
        })
        .collect();
    let whole = heights["100"] - heights["1"];
    for (number, height) in &heights {
        let expected = number.parse::<f64>().unwrap().log10() / 2.0;
        let share = (height - heights["1"]) / whole;
        // A tenth of a pixel is one.
        assert!((share - expected).abs() * whole.abs() <= 1.0, "{number} at {share}, not {expected}");
    }
}

#[test]
fn validation_is_dashed_and_energy_is_left_out_where_it_is_the_loss() {
    let straight = |value: f64, validation: Option<f64>, energy: f64| {
        let fit = report((0..5).map(|_| (value, energy, validation, Vec::new())));
        let picture = plot::training_curves(&[("own", &fit)]).unwrap();
        let elements = parse(picture.svg());
        let thick = named(&elements, "polyline").into_iter().filter(|line| line.number("stroke-width") == 18.0).count();
        (thick, texts(&picture).iter().filter(|text| text.starts_with("own, ")).count())
    };
    assert_eq!(straight(1.0, None, 1.0), (2, 1));
    let (pieces, names) = straight(1.0, Some(2.0), 1.0);
    assert!(pieces > 20 && names == 2, "{pieces} {names}");
    assert_eq!(straight(1.0, None, 1.5).1, 2);
}

/// The cells of a heat map of so many rows and columns: fill of each, rows from below.
fn cells(picture: &Picture, rows: usize, columns: usize) -> Vec<Vec<String>> {
    let elements = parse(picture.svg());
    let rectangles = named(&elements, "rect");
    // The ground, and 64 shades of the bar.
    assert_eq!(rectangles.len(), 1 + rows * columns + 64);
    let mut own = rectangles[1..=rows * columns].to_vec();
    own.sort_by(|a, b| b.number("y").total_cmp(&a.number("y")).then(a.number("x").total_cmp(&b.number("x"))));
    own.chunks(columns).map(|row| row.iter().map(|cell| cell.attributes["fill"].clone()).collect()).collect()
}

#[test]
fn lightness_grows_with_the_value_in_cells_and_bar() {
    let values: Vec<Vec<f64>> = (0..10).map(|i| (0..10).map(|j| f64::from(10 * i + j) / 99.0).collect()).collect();
    let picture = plot::cka("a", "b", &values).unwrap();
    let light: Vec<f64> = cells(&picture, 10, 10).concat().iter().map(|colour| luminance(colour)).collect();
    assert!(light.windows(2).all(|pair| pair[0] < pair[1]), "{light:?}");
    assert!(light[0] < 0.02 && light[99] > 0.75);

    let elements = parse(picture.svg());
    let mut bar = named(&elements, "rect").split_off(101);
    bar.sort_by(|a, b| b.number("y").total_cmp(&a.number("y")));
    assert!(bar.windows(2).all(|pair| luminance(&pair[0].attributes["fill"]) < luminance(&pair[1].attributes["fill"])));
}

#[test]
fn the_lowest_layers_are_at_the_lower_left_and_values_stand_in_their_cells() {
    let picture = plot::cka("a", "b", &[vec![0.11, 0.12, 0.13], vec![0.21, 0.22, 0.23]]).unwrap();
    let elements = parse(picture.svg());
    let place = |text: &str| {
        let found = named(&elements, "text").into_iter().find(|element| element.text == text).unwrap();
        (found.number("x"), found.number("y"))
    };
    let (first, right, above) = (place("0.11"), place("0.12"), place("0.21"));
    assert!(right.0 > first.0 && right.1 == first.1 && above.1 < first.1 && above.0 == first.0);
    let cell = &named(&elements, "rect")[4];
    let inside = (cell.number("x")..cell.number("x") + cell.number("width")).contains(&first.0);
    assert!(inside && (cell.number("y")..cell.number("y") + cell.number("height")).contains(&first.1));
    let large = vec![vec![0.5; 13]; 2];
    assert!(texts(&plot::cka("a", "b", &large).unwrap()).iter().all(|text| text != "0.50"));
}

/// Left, top, right and bottom of points.
fn around(points: impl Iterator<Item = (f64, f64)>) -> [f64; 4] {
    points.fold([f64::MAX, f64::MAX, f64::MIN, f64::MIN], |[left, top, right, bottom], (x, y)| {
        [left.min(x), top.min(y), right.max(x), bottom.max(y)]
    })
}

#[test]
fn cells_and_bar_fill_their_outlines_and_marks_of_numbers_point_outward() {
    let picture = plot::cka("a", "b", &[vec![0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6]]).unwrap();
    let elements = parse(picture.svg());
    let corners = |cell: &&Element| {
        let (x, y) = (cell.number("x"), cell.number("y"));
        [(x, y), (x + cell.number("width"), y + cell.number("height"))]
    };
    let lines: Vec<_> = named(&elements, "polyline").iter().map(|line| line.points()).collect();
    let outlines: Vec<_> = lines.iter().filter(|points| points.len() == 5).collect();
    let [map, bar] = [outlines[0], outlines[1]].map(|points| around(points.iter().copied()));
    assert_eq!(outlines.len(), 2);
    // The first is the ground.
    let cells = named(&elements, "rect");
    let (own, shades) = cells[1..].split_at(6);
    for (outline, cells) in [(map, own), (bar, shades)] {
        let found = around(cells.iter().flat_map(corners));
        assert!(found.iter().zip(outline).all(|(a, b)| (a - b).abs() <= 1.0), "{found:?} in {outline:?}");
    }
    assert!(bar[0] > map[2]);
    let marks: Vec<&Vec<_>> = lines.iter().filter(|points| points.len() == 2).collect();
    let boxes = || marks.iter().map(|ends| around(ends.iter().copied()));
    let is_level = |[_, top, _, bottom]: &[f64; 4]| top == bottom;
    let below = boxes().filter(|own| !is_level(own) && own[0] == own[2] && own[1] >= map[3]).count();
    let left = boxes().filter(|own| is_level(own) && own[2] <= map[0]).count();
    let right = boxes().filter(|own| is_level(own) && own[0] >= bar[2]).count();
    // Three columns, two rows, and 0, 0.2, …, 1.
    assert_eq!((below, left, right, marks.len()), (3, 2, 6, 11));
}

/// The fill that is seen at a point, in units; what was drawn last.
fn seen_at(elements: &[Element], (x, y): (f64, f64)) -> String {
    let covers = |cell: &&&Element| {
        (cell.number("x")..cell.number("x") + cell.number("width")).contains(&x)
            && (cell.number("y")..cell.number("y") + cell.number("height")).contains(&y)
    };
    named(elements, "rect").iter().rev().find(covers).unwrap().attributes["fill"].clone()
}

/// Left, top, right and bottom of each tile, by its outline; that of the bar is the last.
fn tiles(elements: &[Element]) -> Vec<[f64; 4]> {
    let lines = named(elements, "polyline").into_iter().map(Element::points).filter(|points| points.len() == 5);
    let mut outlines: Vec<_> = lines.map(|points| around(points.into_iter())).collect();
    outlines.pop();
    outlines
}

/// The colours of a tile's pixels, row by row, at their middles.
fn pixels(elements: &[Element], [left, top, right, bottom]: [f64; 4], (rows, columns): (usize, usize)) -> Vec<String> {
    let (dx, dy) = ((right - left) / columns as f64, (bottom - top) / rows as f64);
    // Pixels are square.
    assert_eq!(dx, dy);
    let middle = |i: usize| (left + dx * ((i % columns) as f64 + 0.5), top + dy * ((i / columns) as f64 + 0.5));
    (0..rows * columns).map(|i| seen_at(elements, middle(i))).collect()
}

fn grey(share: f64) -> String {
    let byte = (255.0 * share).round() as u8;
    format!("#{byte:02X}{byte:02X}{byte:02X}")
}

/// Equal up to one in each byte: halves are rounded either way.
#[track_caller]
fn assert_colours(found: &[String], expected: &[String]) {
    let bytes = |colour: &String| [1, 3, 5].map(|at| i32::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()));
    let near = |(a, b): (&String, &String)| bytes(a).into_iter().zip(bytes(b)).all(|(a, b)| (a - b).abs() <= 1);
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}, not {expected:?}");
}

#[test]
fn pictures_have_the_colours_of_their_numbers_in_named_rows() {
    // Row by row of pixels, in quarters and beyond 0 ..= 1: black is −0.5, white 1.5.
    let first = [0.0, 0.25, 0.5, 0.75, 1.0, 0.5];
    let second = [-0.5, 1.5, 0.0, 1.0, 0.5, 0.5];
    let above = [first, second].concat();
    let rows = [("above", MatRef::new(&above, 6, 2)), ("below", MatRef::new(&second, 6, 1))];
    let picture = plot::pictures(&rows, [1, 2, 3]).unwrap();
    assert_says(&picture, &["above", "below", "pixel", "−0.5", "0.0", "1.5"]);
    let elements = parse(picture.svg());
    let tiles = tiles(&elements);
    for (tile, values) in tiles.iter().zip([first, second, second]) {
        assert_eq!(pixels(&elements, *tile, (2, 3)), values.map(|value| grey((value + 0.5) / 2.0)));
    }
    let [a, b, c] = tiles[..] else { panic!("{} tiles", tiles.len()) };
    // The second is right of the first, the row below begins below the first.
    assert!(b[0] > a[2] && b[1] == a[1] && c[0] == a[0] && c[1] > a[3]);
    for (name, tile) in [("above", a), ("below", c)] {
        let text = named(&elements, "text").into_iter().find(|text| text.text == name).unwrap();
        assert!(extent(text)[2] < tile[0] && (tile[1]..tile[3]).contains(&text.number("y")), "{name}");
    }
}

#[test]
fn black_and_white_are_0_and_1_where_all_numbers_lie_between() {
    let elements = parse(plot::pictures(&[("", MatRef::new(&[0.2, 0.6], 2, 1))], [1, 1, 2]).unwrap().svg());
    assert_eq!(pixels(&elements, tiles(&elements)[0], (1, 2)), [grey(0.2), grey(0.6)]);
}

#[test]
fn three_channels_are_red_green_and_blue_and_unknown_pixels_have_their_legend() {
    let picture = plot::pictures(&[("", half_known().matrix())], [3, 2, 3]).unwrap();
    assert_says(&picture, &["red, green, blue", "not known"]);
    let elements = parse(picture.svg());
    let found = pixels(&elements, tiles(&elements)[0], (2, 3));
    assert_eq!(found[..3], ["#000000", "#660000", "#FF0000"]);
    let unknown = &found[3];
    assert!(found[3..].iter().all(|colour| colour == unknown) && unknown[1..3] != unknown[5..7], "no grey: {unknown}");
    let text = named(&elements, "text").into_iter().find(|text| text.text == "not known").unwrap();
    assert_eq!(seen_at(&elements, (text.number("x") - 150.0, text.number("y"))), *unknown);
    let all = [0.0, 0.5, 1.0];
    let colours = parse(plot::pictures(&[("", MatRef::new(&all, 3, 1))], [3, 1, 1]).unwrap().svg());
    assert_eq!(pixels(&colours, tiles(&colours)[0], (1, 1)), ["#0080FF"]);
    assert!(
        !texts(&plot::pictures(&[("", MatRef::new(&all, 3, 1))], [3, 1, 1]).unwrap()).contains(&"not known".into())
    );
}

#[test]
fn a_single_row_is_broken_into_lines_and_several_are_not() {
    let many = ramps(30, [1, 4, 4]);
    let elements = parse(plot::pictures(&[("", many.matrix())], [1, 4, 4]).unwrap().svg());
    let (tiles, first) = (tiles(&elements), tiles(&elements)[0]);
    assert_eq!(tiles.len(), 30);
    let columns = tiles.iter().filter(|tile| tile[1] == first[1]).count();
    assert!((2..30).contains(&columns), "{columns}");
    let (dx, dy) = (tiles[1][0] - first[0], tiles[columns][1] - first[1]);
    assert!(dx > first[2] - first[0] && dy > first[3] - first[1], "tiles do not touch");
    for (i, tile) in tiles.iter().enumerate() {
        let corner = (first[0] + dx * (i % columns) as f64, first[1] + dy * (i / columns) as f64);
        assert_eq!((tile[0], tile[1]), corner, "tile {i}");
    }
    let two = [("a", many.matrix()), ("b", many.matrix())];
    let elements = parse(plot::pictures(&two, [1, 4, 4]).unwrap().svg());
    let tops: std::collections::BTreeSet<_> = self::tiles(&elements).iter().map(|tile| tile[1] as i64).collect();
    assert_eq!((self::tiles(&elements).len(), tops.len()), (60, 2));
}

/// A network of one layer whose parameters are 1, 2, … in its own order.
fn counting(input: [usize; 3], layer: impl decoupled::Layer<f64> + 'static) -> DecoupledNetwork<f64> {
    let mut network = DecoupledNetwork::builder(input).layer(layer).threads(1).build().unwrap();
    let params: Vec<f64> = (1..=network.param_count()).map(|i| i as f64).collect();
    network.set_params(0, &params).unwrap();
    network
}

#[test]
fn filters_are_the_kernels_with_zero_in_the_middle_of_the_scale() {
    // W[o, c, i, j] in the order of the parameters: entry e is e + 1, and the largest weight the number of weights.
    let share = |entry: usize, weights: usize| ((entry + 1) as f64 / weights as f64 + 1.0) / 2.0;
    // One input channel: a grey tile for each output channel. The biases behind the weights have no part.
    let picture = plot::filters(&counting([1, 4, 4], Conv2d::new([1, 4, 4], 3, [2, 3])), 0).unwrap();
    assert_says(&picture, &["weight"]);
    let elements = parse(picture.svg());
    assert_eq!(tiles(&elements).len(), 3);
    for (o, tile) in tiles(&elements).into_iter().enumerate() {
        let expected: Vec<String> = (0..6).map(|i| grey(share(6 * o + i, 18))).collect();
        assert_colours(&pixels(&elements, tile, (2, 3)), &expected);
    }
    // Three: red, green and blue.
    let elements = parse(plot::filters(&counting([3, 4, 4], Conv2d::new([3, 4, 4], 2, [1, 2])), 0).unwrap().svg());
    assert_eq!(tiles(&elements).len(), 2);
    for (o, tile) in tiles(&elements).into_iter().enumerate() {
        let byte = |c: usize, j: usize| grey(share(6 * o + 2 * c + j, 12))[1..3].to_owned();
        let expected = [0, 1].map(|j| format!("#{}{}{}", byte(0, j), byte(1, j), byte(2, j)));
        assert_colours(&pixels(&elements, tile, (1, 2)), &expected);
    }
    // Two: a row for each output channel; and a sequence's kernels are pictures of one row.
    for network in [
        counting([2, 1, 4], Conv1d::new([2, 4], 3, 2)),
        counting([2, 4, 4], Conv2d::new([2, 4, 4], 3, [1, 2])),
        counting([3, 4, 4], ConvTranspose2d::new([3, 4, 4], 2, [1, 2])),
    ] {
        let picture = plot::filters(&network, 0).unwrap();
        assert_says(&picture, &["0", "1", "2"]);
        let elements = parse(picture.svg());
        let tiles = tiles(&elements);
        assert_eq!(tiles.len(), 6);
        for (k, tile) in tiles.iter().enumerate() {
            let expected = [0, 1].map(|j| grey(share(2 * k + j, 12)));
            assert_colours(&pixels(&elements, *tile, (1, 2)), &expected);
            assert_eq!((tile[0], tile[1]), (tiles[k % 2][0], tiles[k - k % 2][1]));
        }
    }
    // Of a convolution within a chain, and of weights that are all zero.
    let mut chain = convolutions();
    assert_eq!(self::tiles(&parse(plot::filters(&chain, 0).unwrap().svg())).len(), 4);
    chain.set_params(0, &vec![0.0; chain.params(0).len()]).unwrap();
    let elements = parse(plot::filters(&chain, 0).unwrap().svg());
    assert_eq!(pixels(&elements, tiles(&elements)[0], (2, 2)), vec![grey(0.5); 4]);
}

#[test]
fn feature_maps_are_the_channels_of_a_layers_output() {
    // A 1 × 1 convolution of one channel: channel o is (2o + 1) · z + o, by hand.
    let mut network = counting([1, 2, 3], Conv2d::new([1, 2, 3], 2, [1, 1]));
    network.set_params(0, &[1.0, 3.0, 0.0, 1.0]).unwrap();
    let inputs = [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]];
    let picture = plot::feature_maps(&network, 0, MatRef::new(&inputs.concat(), 6, 2)).unwrap();
    assert_says(&picture, &["activation", "0", "5", "15"]);
    let elements = parse(picture.svg());
    let tiles = tiles(&elements);
    assert_eq!(tiles.len(), 4);
    for (k, tile) in tiles.into_iter().enumerate() {
        let (input, o) = (inputs[k / 2], (k % 2) as f64);
        // The least is 0, the greatest 16.
        let expected = input.map(|z| grey(((2.0 * o + 1.0) * z + o) / 16.0));
        assert_eq!(pixels(&elements, tile, (2, 3)), expected);
    }
    // The second layer of a network reads the first.
    let deep = convolutions();
    let example = ramps(1, [3, 5, 5]);
    let output = &deep.activations(example.matrix()).unwrap()[1];
    let elements = parse(plot::feature_maps(&deep, 1, example.matrix()).unwrap().svg());
    let expected = output.map(|x| grey((x - output.min()) / (output.max() - output.min())));
    for (tile, channel) in self::tiles(&elements).into_iter().zip(expected.as_slice().chunks(4)) {
        assert_eq!(pixels(&elements, tile, (2, 2)), channel);
    }
}

#[test]
fn residuals_are_lighter_where_they_are_larger_and_grey_where_they_are_zero() {
    let fit = report((0..4).map(|i| {
        let size = 10f64.powi(-i);
        (1.0, 1.0, None, vec![size * 1e-4, size * 1e-2, if i == 3 { 0.0 } else { size }])
    }));
    let picture = plot::residuals(&fit).unwrap();
    assert_says(&picture, &["log₁₀(‖z − ẑ‖ / ‖z‖), grey: 0", "−6", "0", "4"]);
    let cells = cells(&picture, 3, 4);
    let light = |t: usize, k: usize| luminance(&cells[t][k]);
    assert!(light(0, 0) < light(1, 0) && light(1, 0) < light(2, 0));
    assert!((1..4).all(|k| light(0, k) < light(0, k - 1)));
    // 10⁻⁴ in both.
    assert_eq!(cells[0][0], cells[1][2]);
    let grey = &cells[2][3];
    assert!(grey[1..3] == grey[3..5] && grey[3..5] == grey[5..7]);
    let long = report((0..1000).map(|i| (1.0, 1.0, None, vec![1.0 / f64::from(i + 1), 1.0])));
    self::cells(&plot::residuals(&long).unwrap(), 2, 200);
}

#[test]
fn the_boundary_of_a_half_plane_is_where_it_is() {
    for (angle, shift) in [(0.0, 0.25), (0.7, -0.2), (std::f64::consts::FRAC_PI_2, 0.1), (2.0, 0.3)] {
        let picture = plot::decision_boundary(&half_plane(angle, shift), &three()).unwrap();
        let elements = parse(picture.svg());
        let mut circles: Vec<_> = named(&elements, "circle").iter().map(|c| (c.number("cx"), c.number("cy"))).collect();
        // Beside the legend's, the examples at (−1, −1) and (1, 0.5).
        circles.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (low, high) = (circles[0], circles[1]);
        let scale = ((high.0 - low.0) / 2.0, (high.1 - low.1) / 1.5);
        let value = |x: f64, y: f64| ((x - low.0) / scale.0 - 1.0, (y - low.1) / scale.1 - 1.0);
        let mut seen: BTreeMap<bool, (String, usize)> = BTreeMap::new();
        for x in (1000..6000).step_by(97) {
            for y in (500..3600).step_by(89) {
                let (x, y) = (f64::from(x), f64::from(y));
                let (a, b) = value(x, y);
                let beyond = a * angle.cos() + b * angle.sin() - shift;
                // Cells are one or two pixels wide.
                if beyond.abs() > 0.015 {
                    let fill = seen_at(&elements, (x, y));
                    assert_ne!(fill, "#FFFFFF", "the plane is covered");
                    let entry = seen.entry(beyond > 0.0).or_insert((fill.clone(), 0));
                    entry.1 += 1;
                    assert_eq!(entry.0, fill, "at {a}, {b}");
                }
            }
        }
        assert!(seen[&true].1 > 100 && seen[&false].1 > 100 && seen[&true].0 != seen[&false].0);
        // By turns lighter and darker, class 0 first: they are told apart in grey.
        assert!(luminance(&seen[&false].0) - luminance(&seen[&true].0) > 0.05, "{seen:?}");
        // The dark line between them goes along the edges of cells.
        let thin = named(&elements, "polyline").into_iter().filter(|line| line.number("stroke-width") == 8.0);
        let ends: Vec<(f64, f64)> = thin.flat_map(Element::points).collect();
        assert!(ends.len() >= 2);
        for (x, y) in ends {
            let (a, b) = value(x, y);
            let beyond = a * angle.cos() + b * angle.sin() - shift;
            assert!(beyond.abs() < 0.03, "a line at {a}, {b}");
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let (first, second) = (gallery(), gallery());
    assert!(first.iter().zip(&second).all(|(a, b)| a.svg() == b.svg() && a == b));
}

macro_rules! refused {
    ($result:expr, $pattern:pat) => {
        let result = $result;
        assert!(matches!(&result, Err($pattern)), "{result:?}");
    };
}

#[test]
fn empty_ragged_and_non_finite_input_is_refused() {
    let (nan, none) = (f64::NAN, &[][..]);
    refused!(plot::training_curves(&[]), Error::Empty { .. });
    refused!(plot::training_curves(&[("a", &decaying(0))]), Error::Empty { .. });
    refused!(plot::residuals(&decaying(0)), Error::Empty { .. });
    refused!(plot::barrier(&[]), Error::Empty { .. });
    refused!(plot::barrier(&[("a", none)]), Error::Empty { .. });
    refused!(plot::barrier(&[("a", &[1.0])]), Error::Shape { expected: 2, found: 1, .. });
    refused!(plot::depth_profile("a", &[]), Error::Empty { .. });
    refused!(plot::depth_profile("a", &[("b", &[1.0]), ("a", none)]), Error::Empty { .. });
    refused!(plot::cka("a", "b", &[]), Error::Empty { .. });
    refused!(plot::cka("a", "b", &[vec![]]), Error::Empty { .. });
    refused!(plot::cka("a", "b", &[vec![1.0], vec![]]), Error::Shape { expected: 1, found: 0, .. });
    refused!(plot::cka("a", "b", &[vec![1.0], vec![nan]]), Error::NotFinite { row: 1, example: 0, .. });
    refused!(plot::cka("a", "b", &[vec![1.1]]), Error::HyperParameter { .. });
    refused!(plot::cka("a", "b", &[vec![1.0]]).unwrap().titled(" \n\u{7}"), Error::Empty { .. });
    // Debiased estimates fall below zero by chance.
    assert_says(&plot::cka("a", "b", &[vec![1.0 + 1e-12, -1e-12, -0.03]]).unwrap(), &["1.00", "0.00", "−0.03"]);
    for bad in [nan, f64::INFINITY, f64::NEG_INFINITY] {
        refused!(plot::barrier(&[("a", &[1.0, 2.0]), ("b", &[1.0, bad])]), Error::NotFinite { row: 1, example: 1, .. });
        refused!(plot::depth_profile("a", &[("a", &[bad])]), Error::NotFinite { row: 0, example: 0, .. });
        let fits = [
            report([(bad, 1.0, None, vec![1.0])].into_iter()),
            report([(1.0, bad, None, vec![1.0])].into_iter()),
            report([(1.0, 1.0, Some(bad), vec![1.0])].into_iter()),
        ];
        for fit in fits {
            refused!(plot::training_curves(&[("a", &fit)]), Error::NotFinite { .. });
        }
        let fit = report([(1.0, 1.0, None, vec![1.0, bad])].into_iter());
        refused!(plot::residuals(&fit), Error::NotFinite { row: 1, example: 0, .. });
    }
    let fit = |residuals: [Vec<f64>; 2]| report(residuals.into_iter().map(|own| (1.0, 1.0, None, own)));
    refused!(plot::residuals(&fit([vec![1.0], vec![]])), Error::Shape { expected: 1, found: 0, .. });
    refused!(plot::residuals(&fit([vec![1.0], vec![-1.0]])), Error::HyperParameter { .. });
    refused!(plot::residuals(&fit([vec![0.0], vec![0.0]])), Error::Empty { .. });
    refused!(plot::residuals(&fit([vec![], vec![]])), Error::Empty { .. });
}

#[test]
fn a_boundary_needs_two_inputs_and_labels() {
    let net = |inputs: usize, outputs: usize| {
        DecoupledNetwork::<f64>::builder(inputs).dense(outputs, Activation::Identity).threads(1).build().unwrap()
    };
    let inputs = |width: usize| Examples::from_row_slice(&vec![0.5; 3 * width], 3, width).unwrap();
    let data = |width: usize| Dataset::classification(inputs(width), &[0, 1, 0], 2).unwrap();
    refused!(plot::decision_boundary(&net(3, 2), &data(3)), Error::Shape { expected: 2, found: 3, .. });
    refused!(plot::decision_boundary(&net(2, 2), &data(1)), Error::Shape { expected: 2, found: 1, .. });
    refused!(plot::decision_boundary(&net(2, 3), &data(2)), Error::Shape { expected: 2, found: 3, .. });
    let real = Dataset::regression(inputs(2), inputs(2)).unwrap();
    refused!(plot::decision_boundary(&net(2, 2), &real), Error::Unsupported { .. });
    // All examples at one point.
    assert!(plot::decision_boundary(&net(2, 2), &data(2)).is_ok());
    let mut steep = net(2, 2);
    steep.set_params(0, &[1e308; 6]).unwrap();
    let far = Dataset::classification(Examples::from_rows(&[[1e5, 2e5]]).unwrap(), &[1], 2).unwrap();
    refused!(plot::decision_boundary(&steep, &far), Error::NotFinite { .. });
}

#[test]
fn pictures_that_do_not_fit_their_shape_and_layers_without_any_are_refused() {
    let four = ramps(1, [1, 2, 2]);
    let one = [("a", four.matrix())];
    let draw = |shape: [usize; 3]| plot::pictures(&one, shape);
    refused!(draw([1, 2, 3]), Error::Shape { expected: 6, found: 4, .. });
    refused!(draw([2, 1, 2]), Error::HyperParameter { found: 2.0, .. });
    refused!(plot::pictures(&one, 4), Error::HyperParameter { found: 4.0, .. });
    refused!(draw([1, 0, 4]), Error::Empty { .. });
    refused!(draw([1, usize::MAX, 4]), Error::Shape { expected: usize::MAX, found: 4, .. });
    refused!(plot::pictures::<f64>(&[], [1, 2, 2]), Error::Empty { .. });
    let none: [f64; 0] = [];
    refused!(plot::pictures(&[one[0], ("b", MatRef::new(&none, 4, 0))], [1, 2, 2]), Error::Empty { .. });
    for bad in [f64::INFINITY, f64::NEG_INFINITY] {
        let second = [0.0, 0.0, bad, 0.0];
        let rows = [one[0], ("b", MatRef::new(&second, 4, 1))];
        refused!(plot::pictures(&rows, [1, 2, 2]), Error::NotFinite { example: 1, row: 2, .. });
    }
    refused!(plot::pictures(&[("a", MatRef::new(&[1e301], 1, 1))], [1, 1, 1]), Error::HyperParameter { .. });
    let large = vec![0.0; 1_000_001];
    refused!(plot::pictures(&[("a", MatRef::new(&large, 1, large.len()))], [1, 1, 1]), Error::HyperParameter { .. });
    // Nothing is known of it.
    parse(plot::pictures(&[("a", MatRef::new(&[f64::NAN], 1, 1))], [1, 1, 1]).unwrap().svg());

    let (net, example) = (convolutions(), ramps(1, [3, 5, 5]));
    refused!(plot::filters(&net, 3), Error::LayerIndex { count: 3, found: 3, .. });
    refused!(plot::filters(&net, 2), Error::Unsupported { .. });
    refused!(plot::feature_maps(&net, usize::MAX, example.matrix()), Error::LayerIndex { count: 3, .. });
    refused!(plot::feature_maps(&net, 2, example.matrix()), Error::Unsupported { .. });
    refused!(plot::feature_maps(&net, 0, four.matrix()), Error::Shape { expected: 75, found: 4, .. });
    refused!(plot::feature_maps(&net, 0, MatRef::new(&none, 75, 0)), Error::Empty { .. });
    refused!(plot::feature_maps(&net, 0, &[f64::NAN; 75][..]), Error::NotFinite { .. });
    let mut steep = convolutions();
    steep.set_params(0, &vec![1e301; steep.params(0).len()]).unwrap();
    refused!(plot::filters(&steep, 0), Error::HyperParameter { .. });
}

#[test]
fn no_finite_numbers_make_it_panic() {
    let extreme = [0.0, -0.0, 5e-324, -5e-324, f64::MIN_POSITIVE, 1.0, 1.0 + f64::EPSILON, 1e-300, 1e300, -1e300];
    for a in extreme {
        for b in extreme {
            parse(plot::barrier(&[("a", &[a, b])]).unwrap().svg());
            parse(plot::depth_profile("a", &[("a", &[a, b]), ("b", &[b])]).unwrap().svg());
            let fit = report([(a, b, Some(b), vec![a.abs(), b.abs()])].into_iter());
            parse(plot::training_curves(&[("a", &fit)]).unwrap().svg());
            if a != 0.0 || b != 0.0 {
                parse(plot::residuals(&fit).unwrap().svg());
            }
            parse(plot::pictures(&[("a", MatRef::new(&[a, b, a], 3, 1))], [3, 1, 1]).unwrap().svg());
        }
    }
    refused!(plot::barrier(&[("a", &[1.0, f64::MAX])]), Error::HyperParameter { .. });
    let mut late = decaying(3);
    for (epoch, number) in late.epochs.iter_mut().zip([usize::MAX, usize::MAX - 1, 0]) {
        epoch.epoch = number;
    }
    parse(plot::training_curves(&[("a", &late)]).unwrap().svg());
    late.epochs.truncate(1);
    parse(plot::training_curves(&[("a", &late)]).unwrap().svg());
}

#[test]
fn a_file_has_the_document_and_one_that_cannot_be_written_is_named() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("plot");
    let _ = fs::remove_dir_all(&folder);
    let picture = plot::barrier(&[("a", &[1.0, 2.0])]).unwrap();
    let path = folder.join("barrier.svg");
    assert!(matches!(picture.save(&path), Err(Error::Io { path: named, .. }) if named == path));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&path, "what was there before").unwrap();
    picture.save(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), picture.svg());
    // A folder is not replaced, and no draft stays.
    let taken = folder.join("taken");
    fs::create_dir_all(taken.join("by")).unwrap();
    assert!(matches!(picture.save(&taken), Err(Error::NotAFile { path: named, .. }) if named == taken));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

/// The middle of what a shape covers, in units; of a triangle its centroid.
fn centre(shape: &Element) -> (f64, f64) {
    if shape.name == "circle" {
        return (shape.number("cx"), shape.number("cy"));
    }
    let points = shape.points();
    let middle = |of: &dyn Fn(&(f64, f64)) -> f64| {
        let (least, most) = points.iter().map(of).fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(v), b.max(v)));
        if points.len() == 3 { points.iter().map(of).sum::<f64>() / 3.0 } else { 0.5 * (least + most) }
    };
    (middle(&|point| point.0), middle(&|point| point.1))
}

#[test]
fn every_marker_stands_on_its_point() {
    let levels: Vec<[f64; 4]> = (0..6).map(|i| [f64::from(i) + 1.0; 4]).collect();
    let series: Vec<(&str, &[f64])> =
        ["a", "b", "c", "d", "e", "f"].into_iter().zip(levels.iter().map(|level| &level[..])).collect();
    let elements = parse(plot::depth_profile("v", &series).unwrap().svg());
    let thick = |line: &&Element| line.name == "polyline" && line.number("stroke-width") == 18.0;
    let lines: Vec<&Element> = elements.iter().filter(|line| thick(line) && line.points().len() == 4).collect();
    assert_eq!(lines.len(), 6);
    for line in lines {
        let colour = &line.attributes["stroke"];
        let is_own =
            |shape: &&Element| [shape.attributes.get("stroke"), shape.attributes.get("fill")].contains(&Some(colour));
        let width = |shape: &Element| match shape.name.as_str() {
            "circle" => 2.0 * shape.number("r"),
            _ => {
                let xs: Vec<f64> = shape.points().iter().map(|point| point.0).collect();
                xs.iter().copied().fold(f64::MIN, f64::max) - xs.iter().copied().fold(f64::MAX, f64::min)
            }
        };
        let shapes =
            || elements.iter().filter(is_own).filter(|shape| ["circle", "polygon", "polyline"].contains(&&*shape.name));
        // The line itself, and the piece of it in the legend, are long.
        let places: Vec<(f64, f64)> = line
            .points()
            .into_iter()
            .chain(shapes().filter(|shape| (150.0..600.0).contains(&width(shape))).map(centre))
            .collect();
        assert_eq!(places.len(), 5, "{colour}");
        let mut marked = [false; 5];
        for shape in shapes().filter(|shape| width(shape) < 150.0) {
            let (x, y) = centre(shape);
            // A tenth of a pixel is one; a triangle stands half a pixel lower.
            let near = |place: &(f64, f64)| (place.0 - x).abs() <= 1.0 && (place.1 - y).abs() <= 6.0;
            let at =
                places.iter().position(near).unwrap_or_else(|| panic!("{colour}: ({x}, {y}) is none of {places:?}"));
            marked[at] = true;
        }
        assert_eq!(marked, [true; 5], "{colour}");
    }
}
