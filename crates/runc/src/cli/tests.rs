use std::ffi::OsString;

use super::*;
use crate::commands::ALL;
use crate::golden;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ')
        .filter(|word| !word.is_empty())
        .map(OsString::from)
        .collect()
}

fn parsed(line: &str) -> Parsed {
    match parse(ALL, words(line).into_iter()) {
        Ok(parsed) => parsed,
        Err(error) => panic!("{line}: {error}"),
    }
}

/// The command's name, the options before it, and its own options and arguments.
fn run(line: &str) -> (&'static str, Matches, Matches) {
    match parsed(line) {
        Parsed::Run {
            globals,
            command,
            matches,
        } => (command.name, globals, matches),
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str) -> String {
    match parse(ALL, words(line).into_iter()) {
        Err(error) => error.to_string(),
        Ok(parsed) => panic!("{line}: {parsed:?}"),
    }
}

fn arguments(matches: &Matches) -> Vec<&str> {
    matches
        .arguments()
        .iter()
        .map(|argument| argument.to_str().unwrap())
        .collect()
}

#[test]
fn what_containerd_sends() {
    let (name, globals, matches) = run(
        "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json \
         --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /t/pty.sock --no-pivot \
         --no-new-keyring --preserve-fds 3 web",
    );
    assert_eq!(name, "create");
    assert_eq!(
        globals.path("root").unwrap().to_str(),
        Some("/run/containerd/runc/k8s.io")
    );
    assert_eq!(globals.text("log-format").as_deref(), Some("json"));
    assert!(globals.is_set("systemd-cgroup") && !globals.is_set("debug"));
    assert_eq!(matches.path("bundle").unwrap().to_str(), Some("/b"));
    assert_eq!(
        matches.path("pid-file").unwrap().to_str(),
        Some("/b/init.pid")
    );
    assert_eq!(
        matches.path("console-socket").unwrap().to_str(),
        Some("/t/pty.sock")
    );
    assert!(matches.is_set("no-pivot") && matches.is_set("no-new-keyring"));
    assert_eq!(matches.number("preserve-fds"), 3);
    assert_eq!(arguments(&matches), ["web"]);

    for line in [
        "start web",
        "state web",
        "kill web 9",
        "kill --all web 15",
        "delete web",
        "delete --force web",
    ] {
        assert!(arguments(&run(line).2).starts_with(&["web"]), "{line}");
    }
    let (_, _, matches) =
        run("exec --process /p.json --console-socket /s --detach --pid-file /e.pid web");
    assert!(matches.is_set("detach"));
    assert_eq!(matches.path("process").unwrap().to_str(), Some("/p.json"));
    let (_, _, matches) = run("ps --format json web");
    assert_eq!(matches.text("format").as_deref(), Some("json"));
    let (_, _, matches) = run("list --format=json");
    assert_eq!(matches.text("format").as_deref(), Some("json"));
}

#[test]
fn rootless_takes_its_value_either_way() {
    for line in [
        "--rootless=true state a",
        "--rootless true state a",
        "-rootless=true state a",
    ] {
        assert_eq!(
            run(line).1.text("rootless").as_deref(),
            Some("true"),
            "{line}"
        );
    }
}

#[test]
fn long_options_may_have_one_dash() {
    let (_, _, matches) = run("run --bundle B --pid-file F --detach -no-subreaper web");
    assert!(matches.is_set("no-subreaper") && matches.is_set("detach"));
    let (_, globals, matches) = run("-root /r create -bundle=/b -preserve-fds=2 web");
    assert_eq!(globals.path("root").unwrap().to_str(), Some("/r"));
    assert_eq!(
        (
            matches.path("bundle").unwrap().to_str(),
            matches.number("preserve-fds")
        ),
        (Some("/b"), 2)
    );
}

#[test]
fn what_conmon_sends() {
    let (_, globals, matches) = run(
        "--systemd-cgroup --log-format=json --log=/l exec --pid-file /p --process /q \
         --detach --tty --console-socket /s web",
    );
    assert!(globals.is_set("systemd-cgroup"));
    assert_eq!(globals.path("log").unwrap().to_str(), Some("/l"));
    assert!(matches.is_set("tty") && matches.is_set("detach"));
}

#[test]
fn exec_stops_at_its_first_argument() {
    let (_, _, matches) = run("exec -t web ls -l --detach -- x");
    assert!(matches.is_set("tty") && !matches.is_set("detach"));
    assert_eq!(
        arguments(&matches),
        ["web", "ls", "-l", "--detach", "--", "x"]
    );
    let (_, _, matches) = run("ps web -ef -o pid");
    assert_eq!(arguments(&matches), ["web", "-ef", "-o", "pid"]);
}

#[test]
fn other_commands_take_options_after_arguments() {
    assert!(run("delete web --force").2.is_set("force"));
    assert!(run("delete web -f").2.is_set("force"));
    let (_, _, matches) = run("run web -b /b");
    assert_eq!(matches.path("bundle").unwrap().to_str(), Some("/b"));
    // What is no option after an argument is an argument.
    assert_eq!(arguments(&run("kill web -9").2), ["web", "-9"]);
}

#[test]
fn two_dashes_end_the_options() {
    assert_eq!(arguments(&run("kill -- web -a").2), ["web", "-a"]);
    assert_eq!(arguments(&run("state -- -web").2), ["-web"]);
    assert_eq!(arguments(&run("state -").2), ["-"]);
}

#[test]
fn one_letter_options_may_be_joined() {
    let (_, _, matches) = run("exec -tdu 5:6 web id");
    assert!(matches.is_set("tty") && matches.is_set("detach"));
    assert_eq!(matches.text("user").as_deref(), Some("5:6"));
    let (_, _, matches) = run("exec -te=A=1 web env");
    assert_eq!(matches.all("env"), ["A=1"]);
    assert_eq!(
        refused("exec -ut 5 web id"),
        "flag provided but not defined: -ut"
    );
}

#[test]
fn values_are_taken_as_they_are() {
    let (_, _, matches) =
        run("exec --env -x=1 -e --tty -e A=b=c --cap CAP_KILL -c CAP_CHOWN web env");
    assert_eq!(matches.all("env"), ["-x=1", "--tty", "A=b=c"]);
    assert_eq!(matches.all("cap"), ["CAP_KILL", "CAP_CHOWN"]);
    assert!(!matches.is_set("tty"));
    // The last one counts, and an empty one is none.
    assert_eq!(
        run("create -b /a -b /b x")
            .2
            .path("bundle")
            .unwrap()
            .to_str(),
        Some("/b")
    );
    assert_eq!(run("create --pid-file= x").2.path("pid-file"), None);
}

#[test]
fn switches_take_go_s_booleans() {
    assert!(!run("create --no-pivot=false x").2.is_set("no-pivot"));
    assert!(run("create --no-pivot=T x").2.is_set("no-pivot"));
    assert!(!run("create --no-pivot --no-pivot=0 x").2.is_set("no-pivot"));
}

#[test]
fn usage_errors_are_worded_as_callers_know_them() {
    for (line, wanted) in [
        ("bogus", "No help topic for 'bogus'"),
        ("--nope", "flag provided but not defined: -nope"),
        ("create --nope x", "flag provided but not defined: -nope"),
        ("create --bundle", "flag needs an argument: -bundle"),
        (
            "create --preserve-fds=x id",
            "invalid value \"x\" for flag -preserve-fds: parse error",
        ),
        (
            "create --preserve-fds=-1 id",
            "invalid value \"-1\" for flag -preserve-fds: parse error",
        ),
        (
            "create --preserve-fds=+1 id",
            "invalid value \"+1\" for flag -preserve-fds: parse error",
        ),
        (
            "run --keep=maybe x",
            "invalid boolean value \"maybe\" for -keep: parse error",
        ),
        (
            "create",
            "orlop-runc: \"create\" requires exactly 1 argument(s)",
        ),
        (
            "state a b",
            "orlop-runc: \"state\" requires exactly 1 argument(s)",
        ),
        (
            "kill",
            "orlop-runc: \"kill\" requires a minimum of 1 argument(s)",
        ),
        (
            "kill a b c",
            "orlop-runc: \"kill\" requires a maximum of 2 argument(s)",
        ),
        (
            "list extra",
            "orlop-runc: \"list\" requires exactly 0 argument(s)",
        ),
    ] {
        assert_eq!(refused(line), wanted, "{line}");
    }
}

#[test]
fn usage_errors_know_where_the_log_is() {
    let error = parse(ALL, words("--log /l --log-format json create").into_iter()).unwrap_err();
    assert_eq!(error.globals.path("log").unwrap().to_str(), Some("/l"));
    assert!(matches!(error.help, Help::Of(command) if command.name == "create"));
}

#[test]
fn help_and_version_need_no_command() {
    for line in ["", "--help", "-h", "help", "h", "--debug"] {
        assert!(matches!(parsed(line), Parsed::Help(None)), "{line}");
    }
    for line in [
        "help create",
        "create --help",
        "create -h",
        "exec -h a b",
        "create --help a b c",
    ] {
        assert!(matches!(parsed(line), Parsed::Help(Some(_))), "{line}");
    }
    for line in ["--version", "-v", "-version"] {
        assert!(matches!(parsed(line), Parsed::Version), "{line}");
    }
    // For the container's program.
    assert!(matches!(parsed("exec web ls --help"), Parsed::Run { .. }));
}

#[test]
fn the_table_is_consistent() {
    for command in ALL {
        let mut names: Vec<_> = command.flags.iter().map(|flag| flag.name).collect();
        let mut letters: Vec<_> = command.flags.iter().filter_map(|flag| flag.short).collect();
        names.push(HELP.name);
        letters.extend(HELP.short);
        for list in [names.len(), letters.len()] {
            assert!(list > 0, "{}", command.name);
        }
        names.sort_unstable();
        letters.sort_unstable();
        assert!(
            names.windows(2).all(|pair| pair[0] != pair[1]),
            "{}: {names:?}",
            command.name
        );
        assert!(
            letters.windows(2).all(|pair| pair[0] != pair[1]),
            "{}: {letters:?}",
            command.name
        );
    }
}

#[test]
fn help_is_as_before() {
    let each = ALL
        .iter()
        .map(|command| help(command))
        .collect::<Vec<_>>()
        .join("\n----\n\n");
    golden::compare(
        "cli/testdata/help.txt",
        &format!("{}\n----\n\n{each}", general_help(ALL)),
    );
}

#[test]
fn completions_are_as_before() {
    for shell in SHELLS {
        golden::compare(
            &format!("cli/testdata/completion.{shell}"),
            &script(shell, ALL).unwrap(),
        );
    }
    assert_eq!(script("csh", ALL), None);
}

#[test]
fn the_manual_page_is_as_before() {
    golden::compare("cli/testdata/orlop-runc.8", &page(ALL));
}
