use super::*;

const SCENE: &str = r#"
length = 20.0
size = [1280, 720]
backdrop = [[200, 200, 200], [100, 100, 100]]

[[people]]
name = "Ann"
pictures = [{ image = "ann.jpg" }]

[[visits]]
who = "Ann"
image = "ann2.jpg"
crop = [0, 0, 300, 400]
face = [100, 100, 200, 240]
path = [
    { t = 2.0, x = -200, y = 300, width = 100 },
    { t = 6.0, x = 600, y = 300, width = 200, light = 0.5 },
    { t = 10.0, x = 600, y = 1000, width = 200 },
]
"#;

fn check(text: &str) -> Result<Scene, String> {
    toml::from_str::<raw::Scene>(text).map_err(|e| e.to_string())?.check()
}

#[test]
fn a_visit_is_visible_while_the_whole_face_is_inside() {
    let scene = check(SCENE).expect("a good scene");
    let visit = &scene.visits[0];
    assert!(visit.enrolled);
    let (from, to) = visit.visible;
    let face = |t| visit.face_at(t).expect("on the path");
    assert!(face(from).x1 >= 0.0 && face(from - 0.05).x1 < 0.0, "enters at {from}");
    assert!(face(to).y2 <= 720.0 && face(to + 0.05).y2 > 720.0, "leaves at {to}");
    assert_eq!(visit.face_at(1.9), None);
    assert_eq!(visit.face_at(10.1), None);
}

#[test]
fn keyframes_hold_exactly_and_the_face_keeps_its_shape() {
    let scene = check(SCENE).expect("a good scene");
    let at = scene.visits[0].path.at(6.0).expect("a keyframe");
    assert_eq!((at.x, at.y, at.width, at.light), (600.0, 300.0, 200.0, 0.5));
    let face = scene.visits[0].face_at(6.0).expect("a keyframe");
    assert_eq!((face.width(), face.height()), (200.0, 280.0));
}

#[test]
fn another_size_shows_the_same_scene() {
    let scene = check(SCENE).expect("a good scene").resized((640, 360));
    let at = scene.visits[0].path.at(6.0).expect("a keyframe");
    assert_eq!((at.x, at.y, at.width), (300.0, 150.0, 100.0));
}

#[test]
fn what_does_not_make_a_scene_is_refused_by_name() {
    let cases = [
        ("who = \"Ann\"", "who = \"Anne\"", "visits[0] (Anne)"),
        ("image = \"ann2.jpg\"", "stranger = true\nimage = \"a\"", "either a name"),
        ("face = [100, 100, 200, 240]", "face = [100, 100, 400, 240]", "outside the crop"),
        ("t = 10.0", "t = 1.0", "rising t"),
        ("t = 10.0", "t = 30.0", "does not fit"),
        ("x = 600, y = 300, width = 200", "x = -500, y = 300, width = 200", "never inside"),
        ("width = 100 }", "width = 0 }", "width 4"),
        ("[1280, 720]", "[1281, 720]", "multiples of 8"),
        ("length = 20.0", "length = nan", "1 to 3600"),
        ("name = \"Ann\"", "name = \"../Ann\"", "folder"),
        ("light = 0.5", "ligth = 0.5", "ligth"),
    ];
    for (from, to, expected) in cases {
        let text = if expected == "never inside" {
            SCENE.replace(from, to).replace("x = 600, y = 1000", "x = -500, y = 1000")
        } else {
            SCENE.replace(from, to)
        };
        assert_ne!(text, SCENE, "{from}");
        let error = check(&text).expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn the_shipped_scene_is_good_and_shows_everybody_long_enough() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo/scene.toml");
    let scene = Scene::load(&file).expect("the shipped scene");
    for person in &scene.people {
        assert!(scene.visits.iter().any(|v| v.who == person.name), "{} never comes", person.name);
    }
    assert!(scene.visits.iter().any(|v| !v.enrolled), "no stranger comes");
    for visit in &scene.visits {
        let (from, to) = visit.visible;
        assert!(to - from >= 6.0, "{} is seen for {:.1} s only", visit.who, to - from);
        assert!(to <= scene.length - 1.0, "{} is still there at the end", visit.who);
    }
    for tenth in 0..(scene.length * 10.0) as u32 {
        let time = f64::from(tenth) / 10.0;
        let seen = scene.visits.iter().filter(|v| v.visible.0 <= time && time <= v.visible.1).count();
        assert!(seen <= 2, "{seen} people at {time} s");
    }
}
