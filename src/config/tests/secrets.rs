//! Credentials: where they come from, and that nothing shows them.

use super::{Setting, only_camera};
use crate::base::error::Error;
use crate::base::secret::Secret;
use crate::config::load::load_without_credentials;
use crate::config::place::Place;
use crate::config::{CameraSource, Rtsp};

/// Must be seen nowhere.
const CANARY: &str = "c4n4ry";

fn rtsp(setting: &Setting) -> Rtsp {
    match only_camera(setting.loaded()).source {
        CameraSource::Rtsp(rtsp) => rtsp,
        other => panic!("{other:?}"),
    }
}

fn with_file(credentials: &str) -> Setting {
    let main = "[credentials]\nfile = 'secret.toml'\n[cameras.door]\nurl = 'rtsp://door/1'";
    Setting::new(main).file("secret.toml", credentials, 0o600)
}

/// A camera whose password is the systemd credential `door`.
fn with_systemd(content: &str) -> Setting {
    let main = "[cameras.door]\nurl = 'rtsp://door/1'\nuser = 'viewer'\npassword_credential = 'door'";
    // systemd's access list shows as a right of the group.
    let setting = Setting::new(main).file("creds/door", content, 0o440);
    let folder = setting.path("creds");
    setting.var("CREDENTIALS_DIRECTORY", folder)
}

#[test]
fn the_file_gives_user_and_password_of_any_characters() {
    let password = r#"p@s:s/w?o#r%d "ü" \ $X {}"#;
    let rtsp = rtsp(&with_file(&format!("[cameras.door]\nuser = 'viewer'\npassword = '{password}'\n")));
    assert_eq!(rtsp.user, Some(Secret::new("viewer")));
    assert_eq!(rtsp.password, Some(Secret::new(password)));
    assert_eq!(rtsp.url.as_str(), "rtsp://door/1");
}

#[test]
fn systemd_gives_the_password_without_its_newline() {
    for (content, password) in [("a b%2F\n", "a b%2F"), ("x", "x"), ("x\r\n", "x"), (" x ", " x ")] {
        assert_eq!(rtsp(&with_systemd(content)).password, Some(Secret::new(password)), "{content:?}");
    }
}

#[test]
fn systemd_may_give_the_file_as_a_whole() {
    let main = "[credentials]\nfile = '$CREDENTIALS_DIRECTORY/cams'\n[cameras.door]\nurl = 'rtsp://door/1'";
    let setting = Setting::new(main).file("creds/cams", "cameras.door = {user = 'u', password = 'p'}", 0o440);
    assert!(setting.mistake().contains("needs $CREDENTIALS_DIRECTORY"));
    let folder = setting.path("creds");
    let setting = setting.var("CREDENTIALS_DIRECTORY", folder);
    assert_eq!(rtsp(&setting).password, Some(Secret::new("p")));
}

#[test]
fn a_plain_name_is_systemd_s_copy_where_there_is_one() {
    let entry = |password: &str| format!("[cameras.door]\nuser = 'u'\npassword = '{password}'");
    let setting = with_file(&entry("file")).file("creds/secret.toml", &entry("copy"), 0o440);
    assert_eq!(rtsp(&setting).password, Some(Secret::new("file")), "root, in a shell");
    let folder = setting.path("creds");
    let setting = setting.file("secret.toml", "", 0o000).var("CREDENTIALS_DIRECTORY", folder);
    assert_eq!(rtsp(&setting).password, Some(Secret::new("copy")), "the daemon, under systemd");
}

#[test]
fn a_password_in_the_address_works_leaves_it_and_is_warned_of() {
    let setting = Setting::new(&format!("[cameras.door]\nurl = 'rtsp://viewer:{CANARY}@door/1'"));
    let rtsp = rtsp(&setting);
    assert_eq!((rtsp.url.as_str(), rtsp.user), ("rtsp://door/1", Some(Secret::new("viewer"))));
    assert_eq!(rtsp.password, Some(Secret::new(CANARY)));
    let warnings = setting.loaded().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("cameras.door.url: holds a password"), "{warnings:?}");
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    for mode in [0o640, 0o604, 0o660, 0o620] {
        let setting = with_file("").file("secret.toml", "", mode);
        let line = setting.mistake();
        assert!(
            line.starts_with("credentials.file: DIR/secret.toml can be read or written by others"),
            "{line}"
        );
        assert!(line.ends_with("run chmod 600 DIR/secret.toml"), "{line}");
    }
}

#[test]
fn an_entry_for_no_camera_is_warned_of_by_its_line() {
    let setting =
        with_file(&format!("[cameras.door]\nuser='u'\npassword='p'\n[cameras.{CANARY}]\nuser='u'\n"));
    let warnings = setting.loaded().warnings;
    let file = setting.path("secret.toml");
    let expected = format!(
        "credentials.file: the entry at {}:4 is for no RTSP camera of this configuration",
        file.display()
    );
    assert_eq!(warnings, [expected]);
}

#[test]
fn a_user_or_password_in_two_places_is_refused() {
    let setting = with_file("[cameras.door]\nuser = 'a'\npassword = 'b'");
    std::fs::write(
        setting.main(),
        "[credentials]\nfile='secret.toml'\n[cameras.door]\nurl='rtsp://c:d@door/1'\nuser = 'e'",
    )
    .unwrap();
    assert_eq!(
        setting.mistakes(),
        [
            "cameras.door.url: the camera has a user in two places, url and user and the credentials file; keep one (DIR/w.toml:4)",
            "cameras.door.url: the camera has a password in two places, url and the credentials file; keep one (DIR/w.toml:4)",
        ]
    );
}

#[test]
fn a_password_without_a_user_is_refused() {
    let line = with_file("[cameras.door]\npassword = 'p'").mistake();
    assert_eq!(line, "cameras.door.user: missing; there is a password but nobody to use it");
}

#[test]
fn a_key_in_the_place_of_its_path_is_not_shown() {
    let key = "0123456789abcdef".repeat(4);
    let line = Setting::new(&format!("[gallery]\nkey_file = '{key}'")).mistake();
    assert!(line.starts_with("gallery.key_file: expected the path of a file"), "{line}");
    assert!(!line.contains("0123456789abcdef"), "{line}");
}

#[test]
fn tools_do_without_credentials() {
    let main =
        "[credentials]\nfile = 'none.toml'\n[cameras.door]\nurl = 'rtsp://door/1'\npassword_credential = 'x'";
    let setting = Setting::new(main);
    assert!(setting.load().is_err());
    let loaded =
        load_without_credentials(Some(&setting.main()), setting.env.clone(), &Place::default()).unwrap();
    assert!(
        matches!(only_camera(loaded).source, CameraSource::Rtsp(r) if r.user.is_none() && r.password.is_none())
    );
}

#[test]
fn a_credential_s_name_leads_out_of_no_folder() {
    for name in ["../door", "/etc/shadow", ".hidden", "a/b", ""] {
        let setting = with_systemd("x");
        let main = format!("[cameras.door]\nurl='rtsp://door/1'\nuser='u'\npassword_credential='{name}'");
        std::fs::write(setting.main(), main).unwrap();
        assert!(setting.mistake().contains("the name of a systemd credential"), "{name}");
    }
}

/// The canary stands in every place a secret can stand in, right and wrong; no output of ours may hold it.
#[test]
fn no_error_warning_or_debug_output_holds_a_secret() {
    let c = CANARY;
    let camera = |lines: &str| Setting::new(&format!("[cameras.door]\n{lines}"));
    let settings = [
        // Right.
        with_file(&format!("[cameras.door]\nuser = '{c}'\npassword = '{c}'")),
        with_systemd(c),
        camera(&format!("url = 'rtsp://{c}:{c}@door/1?token={c}'")),
        camera(&format!("url = 'rtsp://door/1'\nuser = '{c}'")),
        camera(&format!("url = 'rtsp://door/user=u&password={c}/1'")),
        camera(&format!("url = 'rtsp://door/user=u_password={c}_channel=1.sdp'")),
        // Wrong addresses.
        camera(&format!("url = 'rtps://u:{c}@door/1'")),
        camera(&format!("url = 'rtsp://u:{c}/x@door/1'")),
        camera(&format!("url = 'rtsp://u:1#{c}@door/1'")),
        camera(&format!("url = 'rtsp://u:{c}@door/1")),
        camera(&format!("url = 'u:{c}@door/1'")),
        camera(&format!("url = 'rtsp//u:{c}@door/1'")),
        camera(&format!("url = 'rtsp:/u:{c}@door/1'")),
        camera(&format!("url = 'RTSP//door/{c}'")),
        camera(&format!("url = '10.0.0.9/user=u&password={c}/1'")),
        camera(&format!("url = 'rtsp://d/'\ndecoder = 'u:{c}@door/1'")),
        camera(&format!("url = 'rtsp://d/'\nstall = 'pw={c}'")),
        Setting::new("").var("WATCHLISTD__CAMERAS__DOOR__URL", format!("u:{c}@door/1")),
        camera(&format!("url = ['rtsp://u:{c}@door/1']")),
        camera(&format!("url = 'a.mp4'\nuser = '{c}'")),
        camera(&format!("uri = 'rtsp://u:{c}@door/1'")),
        camera(&format!("url = 'rtsp://d/'\ndecoder = 'rtsp://u:{c}@door/1'")),
        Setting::new(&format!("[cameras]\ndoor = 'rtsp://u:{c}@door/1'")),
        Setting::new(&format!("cameras = 'rtsp://u:{c}@door/1'")),
        Setting::new("").var("WATCHLISTD__CAMERAS__DOOR__URL", format!("rtps://u:{c}@door/1")),
        Setting::new("").var("WATCHLISTD__CAMERAS__DOOR__PASSWORD", c),
        // Passwords where none may stand.
        camera(&format!("url = 'rtsp://door/1'\npassword = '{c}'")),
        camera(&format!("url = 'rtsp://door/1'\npasswd = '{c}'")),
        camera(&format!("url = 'rtsp://door/1'\npassword_credential = '{c}/'")),
        camera(&format!("url = 'rtsp://door/1'\npassword = \"{c}")),
        // Wrong credentials.
        with_systemd(&format!("{c}\n{c}\n")),
        with_file(c),
        with_file(&format!("{c} = 1")),
        with_file(&format!("[{c}]\na = 1")),
        with_file(&format!("cameras = '{c}'")),
        with_file(&format!("[cameras]\ndoor = '{c}'")),
        with_file(&format!("[cameras]\n{c} = 'door'")),
        with_file(&format!("[cameras.door]\n{c} = 'x'")),
        with_file(&format!("[cameras.door]\npassword = {c}")),
        with_file(&format!("[cameras.door]\npassword = ['{c}']")),
        with_file(&format!("[cameras.door]\npassword = '{c}'\npassword = '{c}'")),
    ];
    let mut loaded = 0;
    for (i, setting) in settings.iter().enumerate() {
        let shown = match setting.load() {
            Ok(config) => {
                loaded += 1;
                format!("{config:?} {config:#?}")
            }
            Err(errors) => {
                let (plain, debug) = (errors.to_string(), format!("{errors:?}"));
                let error = Error::from(errors);
                format!("{plain} {debug} {error:?} {}", error.chain())
            }
        };
        assert!(!shown.contains(CANARY), "setting {i}: {shown}");
    }
    assert_eq!(loaded, 6, "the right ones load, the wrong ones do not");
}
