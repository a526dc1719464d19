use super::*;

fn chart() -> Chart {
    Chart {
        title: "a <title> & \"more\"\u{7}".to_owned(),
        x: Axis::log("false accept rate", 24_876),
        y: Axis::linear("true accept rate", 0.93),
        curve: vec![(4e-5, 0.93), (1e-3, 0.97), (1e-1, 0.99), (1.0, 1.0)],
        marks: vec![
            Mark { at: (1e-3, 0.97), label: "T = 0.450".to_owned(), in_use: false },
            Mark { at: (1.0, 1.0), label: "in use".to_owned(), in_use: true },
        ],
        doubtful: Some((1.2e-3, "too few".to_owned())),
    }
}

/// Every element is closed in its order, and nothing is markup that should be text.
fn well_formed(svg: &str) {
    let mut open = Vec::new();
    for part in svg.split('<').skip(1) {
        let (tag, text) = part.split_once('>').expect("a tag ends");
        assert!(!text.contains('>'), "{part}");
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name)),
            (false, false) => open.push(name),
            (false, true) => {}
        }
        assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_chart_says_what_its_axes_and_marks_are() {
    let svg = chart().to_svg();
    well_formed(&svg);
    for text in [
        ">a &lt;title&gt; &amp; &quot;more&quot; <",
        ">false accept rate<",
        ">true accept rate<",
        ">1e-5<",
        ">1<",
        ">0.90<",
        ">T = 0.450<",
        ">too few<",
    ] {
        assert!(svg.contains(text), "{text}: {svg}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(!svg.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn a_long_curve_gets_no_more_corners_than_can_be_seen() {
    let curve = (1..=200_000).map(|n| (f64::from(n) / 200_000.0, 0.95 + f64::from(n) / 4e6)).collect();
    let svg = Chart { curve, ..chart() }.to_svg();
    assert!(svg.len() < 100_000, "{} bytes", svg.len());
    let empty = Chart { curve: Vec::new(), marks: Vec::new(), doubtful: None, ..chart() }.to_svg();
    well_formed(&empty);
}

#[test]
fn a_logarithmic_axis_gives_each_decade_the_same_length() {
    let axis = Axis::log("", 1_000);
    for (value, place) in [(1.0, 1.0), (0.1, 2.0 / 3.0), (0.001, 0.0), (0.0, 0.0), (1e-9, 0.0), (2.0, 1.0)] {
        assert!((axis.place(value) - place).abs() < 1e-12, "{value}");
    }
    assert_eq!(axis.ticks().len(), 4);
    assert_eq!(Axis::log("", 0).ticks().len(), 2);
    assert_eq!(Axis::linear("", -1.0).ticks()[0].1, "0.00");
}
