//! What playbooks rely on: strictness where something undefined is used, native types, laziness, cycles, includes.

use std::path::PathBuf;
use std::sync::Arc;

use pgfleet_template::{
    Condition, Dialect, Disk, Expression, Language, Overlay, Place, Problem, Raw, Scope, SourceFile, TemplateOptions, Text, Value, Vars,
    Vault, computed_map, to_json,
};

fn vars(yaml: &str) -> Arc<Vars> {
    let file = SourceFile::from_text("vars.yml", yaml);
    let documents = file.documents().expect("parses");
    Arc::new(Raw::vars_from_node(&documents[0], &Arc::new(Vault::none())).expect("reads"))
}

fn scope(yaml: &str) -> Scope {
    Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(vars(yaml))
}

fn place() -> Place {
    Place::new("play.yml", 3, 7)
}

fn shown(result: Result<Value, Problem>) -> String {
    match result.and_then(|value| to_json(&value)) {
        Ok(json) => json.to_string(),
        Err(problem) => format!("error: {}", problem.message),
    }
}

fn compare(wrong: &mut Vec<String>, source: &str, found: &str, expect: &str) {
    if found != expect {
        wrong.push(format!("{source}: {found}, not {expect}"));
    }
}

fn expression(scope: &Scope, source: &str) -> String {
    shown(Expression::parse(source, &place()).and_then(|expression| expression.evaluate(scope)))
}

fn text(scope: &Scope, source: &str) -> String {
    shown(Text::parse(source, &place()).and_then(|text| text.evaluate(scope)))
}

const VARS: &str = r#"
one: 1
name: pg
list: [3, 1, 2]
map: {a: 1, b: {c: x}}
users: [{name: al}, {}]
broken: "{{ nowhere }}"
deep: {good: 1, bad: "{{ nowhere }}", twice: "{{ one * 2 }}"}
chained: "{{ deep.twice + 1 }}"
gone: "{{ omit }}"
nothing: null
yes_: true
"#;

#[test]
fn undefined_is_strict_on_use_and_chainable_on_access() {
    let scope = scope(VARS);
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("a.b.c | default(1)", "1"),
        ("a['b'][0] | default('x')", "\"x\""),
        ("map.a", "1"),
        ("map['b'].c", "\"x\""),
        ("map.nope.more | default(2)", "2"),
        ("a is defined", "false"),
        ("a.b is not defined", "true"),
        ("broken is defined", "false"),
        ("broken | default('d')", "\"d\""),
        ("deep.good", "1"),
        ("deep.twice", "2"),
        ("deep.bad | default(7)", "7"),
        ("chained", "3"),
        ("one == 1 and name != 'x'", "true"),
        ("list[1]", "1"),
        ("list[9] | default(0)", "0"),
        ("(a | default(one)) == 1", "true"),
        ("a", "error: 'a' is undefined"),
        ("a ~ 'x'", "error: 'a' is undefined"),
        ("a == 1", "error: 'a' is undefined"),
        ("1 == map.nope", "error: 'map.nope' is undefined"),
        ("a + 1", "error: 'a' is undefined"),
        ("not a", "error: 'a' is undefined"),
        ("a and one", "error: 'a' is undefined"),
        ("one and a.b", "error: 'a' is undefined"),
        ("1 if a else 2", "error: 'a' is undefined"),
        ("a | upper", "error: 'a' is undefined"),
        ("a | replace('x', 'y')", "error: 'a' is undefined"),
        ("name | replace(b, 'y')", "error: 'b' is undefined"),
        ("a in list", "error: 'a' is undefined"),
        ("1 in a", "error: 'a' is undefined"),
        ("a is none", "error: 'a' is undefined"),
        ("[one, a]", "error: 'a' is undefined"),
        ("{'k': a}", "error: 'a' is undefined"),
        ("a.strip()", "error: 'a' is undefined"),
        ("users[1].name", "error: 'users[1].name' is undefined"),
        ("broken", "error: 'nowhere' is undefined"),
        ("broken == 1", "error: 'nowhere' is undefined"),
        ("a == (b | default(2))", "error: 'a' is undefined"),
        ("nothing", "null"),
        ("nope(1)", "error: 'nope' is undefined"),
        ("1 | nope", "error: there is no filter 'nope'"),
        ("vars['name']", "\"pg\""),
        ("vars.chained", "3"),
        (r"'a\tb'", r#""a\tb""#),
    ] {
        compare(&mut wrong, source, &expression(&scope, source), expect);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_single_expression_keeps_its_type_and_everything_else_is_text() {
    let scope = scope(VARS);
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("{{ one }}", "1"),
        ("{{ list }}", "[3,1,2]"),
        (" {{ one }}", "\" 1\""),
        ("{{ one }}{{ one }}", "\"11\""),
        ("{{ one }}\n", "1"),
        ("{{ name }}\n", "\"pg\\n\""),
        (r"{{ 'a\tb' }}", r#""a\\tb""#),
        ("x{{ nothing }}y", "\"xy\""),
        ("x{{ yes_ }}", "\"xTrue\""),
        ("{{ '3.10' }}", "\"3.10\""),
        ("{% if one == 1 %}{{ list }}{% endif %}", "[3,1,2]"),
        ("{% if one == 2 %}{{ list }}{% endif %}", "\"\""),
        ("{% for i in list %}{{ i }},{% endfor %}", "\"3,1,2,\""),
        ("{% for i in list %}{{ i.x.y | default('-') }}{% endfor %}", "\"---\""),
        ("{% for u in users %}{{ u.name }}{% endfor %}", "error: 'u.name' is undefined"),
        ("{% if a %}{% endif %}", "error: 'a' is undefined"),
        ("{% for x in a %}{% endfor %}", "error: 'a' is undefined"),
        ("{% set x = one %}{{ x + 1 }}", "2"),
        ("{% macro m(x, y=2) %}{{ x }}-{{ y }}{% endmacro %}{{ m(1) }} {{ m(3, y=4) }}", "\"1-2 3-4\""),
        ("{% for i in list if i > 1 %}{{ loop.index }}:{{ i }} {% else %}none{% endfor %}", "\"1:3 2:2 \""),
        ("{# comment #}x", "\"x\""),
        ("{% set l = [] %}{% for i in list %}{% set _ = l.append(i * 2) %}{% endfor %}{{ l }}", "[6,2,4]"),
        ("{% set d = {'a': 1} %}{% set _ = d.update({'b': 2}) %}{{ d.b }} {{ '%s-%02d' % (name, 7) }}", "\"2 pg-07\""),
        ("plain", "\"plain\""),
        ("{{ 'a' if one == 2 }}", "error: a value that is used here is undefined"),
    ] {
        compare(&mut wrong, source, &text(&scope, source), expect);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rendering_uses_the_whole_scope_and_names_cycles() {
    let low = scope("greeting: 'hello {{ who }}'\nwho: low\na: '{{ b }}'\nb: ['{{ a }}']\nmap: {x: '{{ map.y }}', y: 2, z: '{{ map.z }}'}");
    assert_eq!(expression(&low, "greeting"), "\"hello low\"");
    assert_eq!(expression(&low.over(vars("who: high")), "greeting"), "\"hello high\"");
    assert_eq!(expression(&low.with("who", Value::from("one")), "greeting"), "\"hello one\"");
    assert_eq!(expression(&low, "greeting"), "\"hello low\"");
    assert_eq!(expression(&low, "map.x"), "2");
    assert_eq!(expression(&low, "map.z"), "error: recursive loop detected in variable 'z': z -> z");
    let problem = low.get("a").expect_err("a cycle");
    assert_eq!(problem.message, "recursive loop detected in variable 'a': a -> b -> a");
    assert!(problem.trail.is_empty(), "the message names the variables already: {problem}");
    assert_eq!(problem.place.map(|place| place.line), Some(4));
}

#[test]
fn deep_but_finite_chains_render_and_runaway_ones_end() {
    let chain: String = (0..30).map(|at| format!("v{at}: '{{{{ v{} }}}}'\n", at + 1)).collect();
    let on_a_small_stack = std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(move || {
        let scope = scope(&(chain + "v30: end"));
        assert_eq!(expression(&scope, "v0"), "\"end\"");
        let runaway = computed_map(move |_| Err(Problem::new("unused")), Vec::new);
        let endless: String = (0..100).map(|at| format!("w{at}: 'x{{{{ w{} }}}}'\n", at + 1)).collect();
        let scope = self::scope(&endless).with("hostvars", runaway);
        assert!(expression(&scope, "w0").starts_with("error: recursive loop detected"));
    });
    on_a_small_stack.expect("starts").join().expect("no overflow");
}

/// Each holds the one before twice: forty of them would have a million million parts.
#[test]
fn values_that_double_with_each_other_are_refused() {
    let lists: String = (1..40).map(|at| format!("l{at}: ['{{{{ l{before} }}}}', '{{{{ l{before} }}}}']\n", before = at - 1)).collect();
    let maps: String =
        (1..40).map(|at| format!("m{at}: {{a: '{{{{ m{before} }}}}', b: '{{{{ m{before} }}}}'}}\n", before = at - 1)).collect();
    let (others, twins) = (lists.replace('l', "n"), maps.replace("m", "k"));
    let scope = scope(&format!("l0: [x]\nm0: {{a: x}}\nn0: [x]\nk0: {{a: x}}\n{lists}{maps}{others}{twins}"));
    assert_eq!(expression(&scope, "l3 | flatten | length"), "8");
    assert_eq!(expression(&scope, "l3 == n3 and m3 == k3 and l3 != l2 and l3 in [n2, n3]"), "true");
    for source in [
        "l39",
        "m39",
        "l39 | to_json",
        "l39 == n39",
        "m39 != k39",
        "l39 in [1, n39]",
        "1 != l39 == n39",
        "[l39, n39] | unique",
        "[l39] | difference([n39])",
    ] {
        let shown = expression(&scope, source);
        assert!(
            shown.starts_with("error: this makes a ") || shown.starts_with("error: this compares values "),
            "{source}: {}",
            shown.chars().take(80).collect::<String>()
        );
    }
}

#[test]
fn lazy_mappings_act_like_plain_ones() {
    let scope = scope(
        "one: 1\nm: {a: 1, b: '{{ one * 2 }}', c: {d: '{{ one }}'}}\nl: ['{{ m }}', {x: '{{ one }}'}]\nk: {a: 1, b: '{{ nowhere }}'}",
    );
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("m", r#"{"a":1,"b":2,"c":{"d":1}}"#),
        ("m == {'a': 1, 'b': 2, 'c': {'d': 1}}", "true"),
        ("m | combine({'z': 1})", r#"{"a":1,"b":2,"c":{"d":1},"z":1}"#),
        ("m | combine({'c': {'e': one}}, recursive=true)", r#"{"a":1,"b":2,"c":{"d":1,"e":1}}"#),
        ("m.c | dict2items", r#"[{"key":"d","value":1}]"#),
        ("m | length", "3"),
        ("'b' in m", "true"),
        ("'z' in m", "false"),
        ("m.keys() | list", r#"["a","b","c"]"#),
        ("m.items() | list | first", r#"["a",1]"#),
        ("m.get('b')", "2"),
        ("m.get('z', 5)", "5"),
        ("m | to_json", r#""{\"a\": 1, \"b\": 2, \"c\": {\"d\": 1}}""#),
        ("m is mapping", "true"),
        ("l[1].x", "1"),
        ("l | map(attribute='b') | first", "2"),
        ("l | selectattr('x', 'defined') | list | length", "1"),
        ("m ~ ''", r#""{'a': 1, 'b': 2, 'c': {'d': 1}}""#),
        ("k.a", "1"),
        ("k | length", "2"),
        ("k", "error: 'nowhere' is undefined"),
        ("k ~ ''", "error: 'nowhere' is undefined"),
        ("k | to_json", "error: 'nowhere' is undefined"),
        ("k.values() | list", "error: 'nowhere' is undefined"),
        ("k | dict2items", "error: 'nowhere' is undefined"),
        ("k.get('b')", "error: 'nowhere' is undefined"),
    ] {
        compare(&mut wrong, source, &expression(&scope, source), expect);
    }
    for (source, expect) in [
        ("{{ m }}.", r#""{'a': 1, 'b': 2, 'c': {'d': 1}}.""#),
        ("{% for k, v in m.items() %}{{ k }}={{ v }};{% endfor %}", r#""a=1;b=2;c={'d': 1};""#),
        ("{% for k in m %}{{ k }}{% endfor %}", r#""abc""#),
        ("{{ m.c }} {{ l }}", r#""{'d': 1} [{'a': 1, 'b': 2, 'c': {'d': 1}}, {'x': 1}]""#),
    ] {
        compare(&mut wrong, source, &text(&scope, source), expect);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_was_rendered_keeps_nothing_but_itself() {
    let layer = vars("one: 1\nmap: {a: '{{ one }}', b: {c: '{{ map.a + 1 }}'}}");
    let scope = Scope::new(&Language::new(Arc::new(Disk)), vec![]).over(layer.clone());
    let map = scope.get("map").expect("renders").expect("is defined");
    assert_eq!(expression(&scope, "map.b.c"), "2");
    drop(scope);
    assert_eq!(shown(Ok(map.clone())), r#"{"a":1,"b":{"c":2}}"#, "it can still be rendered");
    drop(map);
    assert_eq!(Arc::strong_count(&layer), 1, "nothing holds the variables any longer");
}

#[test]
fn a_misspelt_variable_brings_a_suggestion() {
    let scope = scope("pg_cluster: x");
    let problem = Text::parse("{{ pg_clustr }}", &place()).and_then(|text| text.evaluate(&scope)).expect_err("undefined");
    assert_eq!(problem.to_string(), "play.yml:3:7: 'pg_clustr' is undefined");
    assert_eq!(problem.hint.as_deref(), Some("did you mean 'pg_cluster'?"));
}

#[test]
fn omitted_keys_and_computed_maps() {
    let scope = scope("args: {a: 1, b: '{{ nope | default(omit) }}', c: ['{{ omit }}', 2]}\nhost: web");
    assert_eq!(expression(&scope, "args"), r#"{"a":1,"c":[2]}"#);
    assert_eq!(expression(&scope, "args.b is defined"), "false");
    let other = self::scope("x: '{{ y }}'\ny: 5");
    let hostvars = computed_map(
        move |host| if host == "web" { other.get("x").map(|x| x.map(|x| Value::from_pairs([("x", x)]))) } else { Ok(None) },
        || vec!["web".into()],
    );
    let scope = scope.with("hostvars", hostvars);
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("hostvars[host].x", "5"),
        ("hostvars['db'].x | default(0)", "0"),
        ("hostvars | list", "[\"web\"]"),
        ("hostvars.db.x", "error: 'hostvars.db' is undefined"),
    ] {
        compare(&mut wrong, source, &expression(&scope, source), expect);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn conditions_are_true_or_false() {
    let scope = scope(VARS);
    let neither = |truth: &str, kind: &str| {
        format!("error: Conditional result ({truth}) was derived from value of type '{kind}'. Conditionals must have a boolean result.")
    };
    let (list, text, nothing) = (neither("True", "list"), neither("True", "str"), neither("False", "str"));
    let (empty, no_text) = ("error: Empty conditional expressions are not allowed.", "error: Conditional expressions must be strings.");
    for (yaml, expect) in [
        ("one == 1", "true"),
        ("'{{ one == 2 }}'", "false"),
        ("yes", "true"),
        ("'no'", "error: 'no' is undefined"),
        ("'{{ name }} == \"pg\"'", "error: 'pg' is undefined"),
        ("a.b", "error: 'a' is undefined"),
        ("list", &list),
        ("'{{ list }}'", &list),
        ("one and list", &list),
        ("not list", "false"),
        ("name", &text),
        ("name | default('')", &text),
        ("nowhere | default('')", &nothing),
        ("'{{ \"one == 1\" }}'", "error: Encountered untrusted template or expression."),
        ("''", empty),
        ("' '", empty),
        ("null", empty),
        ("'{{ none }}'", empty),
        ("1", no_text),
        ("2020-01-01", no_text),
    ] {
        let documents = SourceFile::from_text("c.yml", yaml).documents().expect("parses");
        let result = Condition::read(&documents[0]).and_then(|condition| condition.holds(&scope));
        let result = result.map_or_else(|problem| format!("error: {}", problem.message), |holds| holds.to_string());
        assert_eq!(result, expect, "{yaml}");
    }
    assert_eq!(
        Expression::parse("a.b == c | default(d) and lookup_ is x(e)", &place()).map(|e| e.variables()).expect("parses"),
        ["a", "c", "d", "e", "lookup_"]
    );
}

/// As `allow_broken_conditionals` has it.
#[test]
fn truth_counts_where_that_is_allowed() {
    let dialect = Dialect { allows_broken_conditions: true, ..Dialect::default() };
    let language = Language::speaking(Arc::new(Overlay::new("/nowhere", [])), dialect);
    let scope = Scope::new(&language, vec![]).over(vars(VARS));
    for (yaml, expect) in [("list", true), ("nowhere | default('')", false), ("null", true), ("''", true), ("0", false), ("5", true)] {
        let documents = SourceFile::from_text("c.yml", yaml).documents().expect("parses");
        let condition = Condition::read(&documents[0]).expect("a condition");
        assert_eq!(condition.holds(&scope).expect("holds or not"), expect, "{yaml}");
    }
    assert_eq!(expression(&scope, "lookup('config', 'ALLOW_BROKEN_CONDITIONALS')"), "true");
}

fn project() -> Scope {
    let carried: [(&str, &[u8]); 7] = [
        (
            "templates/main.j2",
            b"{% import 'macros.j2' as m %}\n{{ m.greet(name) }}\n{% for i in list %}\n{% include 'parts/line.j2' %}\n{% endfor %}\n",
        ),
        ("templates/macros.j2", b"{% macro greet(who) %}hello {{ who }}{{ who.x.y | default('!') }}{% endmacro %}\n"),
        ("templates/parts/line.j2", b"{% include 'end.j2' %}{{ i }}\n"),
        ("templates/parts/end.j2", b"-"),
        ("templates/bad.j2", b"a\nb\n{% include 'worse.j2' %}\n"),
        ("templates/worse.j2", b"c\nd {{ nowhere.x }}\n"),
        ("templates/dynamic.j2", b"{% include which %}{% include 'absent.j2' ignore missing %}!"),
    ];
    let language = Language::new(Arc::new(Overlay::new("/nowhere", carried)));
    Scope::new(&language, vec![PathBuf::from("/nowhere")]).over(vars(VARS))
}

fn render(scope: &Scope, name: &str) -> Result<String, Problem> {
    let path = scope.find_file(name, "templates").expect("exists");
    let source = String::from_utf8(scope.files().read(&path).expect("reads")).expect("text");
    scope.render(&path.to_string_lossy(), &source, &TemplateOptions::default())
}

#[test]
fn templates_include_and_import_beside_themselves() {
    let scope = project();
    assert_eq!(render(&scope, "main.j2").expect("renders"), "hello pg!\n-3-1-2\n");
    assert_eq!(render(&scope.with("which", Value::from("parts/end.j2")), "dynamic.j2").expect("renders"), "-!");
    let problem = render(&scope, "bad.j2").expect_err("undefined");
    assert_eq!(problem.message, "'nowhere' is undefined");
    assert_eq!(problem.place, Some(Place::new("/nowhere/templates/worse.j2", 2, 6)));
    let absent = scope.with("which", Value::from("no.j2"));
    assert!(render(&absent, "dynamic.j2").expect_err("absent").message.contains("no.j2"));
}

#[test]
fn template_files_have_their_own_rules() {
    let scope = scope(VARS).with("mac", Value::from("x\ry"));
    let render = |source: &str, options: &TemplateOptions| scope.render("t.j2", source, options).map_err(|problem| problem.to_string());
    let default = TemplateOptions::default();
    for (source, expect) in [
        ("{% if one %}\nx\n{% endif %}\n", Ok("x\n")),
        ("{{ 'a\\tb' }}\n", Ok("a\tb\n")),
        ("{{ list }}", Ok("[3, 1, 2]")),
        ("{{ map }} {{ nothing }}", Ok("{'a': 1, 'b': {'c': 'x'}} ")),
        ("#jinja2: lstrip_blocks: \"True\", trim_blocks: False\n  {% if one %}\nx{% endif %}", Ok("\nx")),
        ("#jinja2: trim_blocks: True\na\n{{ nope }}", Err("t.j2:3:4: 'nope' is undefined")),
        ("a\r\n{% if one %}\r\nb {{ 'c\r\nd' }}\r\n{% endif %}\r\n\re\r\n", Ok("a\nb c\nd\n\ne\n")),
        ("{{ 'old\\r\\n' }}{{ mac }}\n", Ok("old\r\nx\ry\n")),
        ("a\n{% if %}", Err("t.j2:2:1: malformed template: unexpected end of block")),
    ] {
        assert_eq!(render(source, &default), expect.map(str::to_owned).map_err(str::to_owned), "{source}");
    }
    let windows = TemplateOptions { newline_sequence: "\r\n".into(), ..default };
    assert_eq!(render("a\nb\n", &windows).as_deref(), Ok("a\r\nb\r\n"));
}

#[test]
fn tables_are_looked_up_as_python_reads_them() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("t.csv"), "a b,1\na,2\n").expect("written");
    std::fs::write(folder.path().join("t.ini"), b"[s]\nhome=/h\nsub=%(home)s/x\nbare\n[l]\nname=\xe9t\xe9\n[d]\nk=1\nK=2\n")
        .expect("written");
    std::fs::write(folder.path().join("u.ini"), "[s]\nhome=/h\nsub=%(home)s/x\n").expect("written");
    std::fs::write(folder.path().join("none.j2"), "{# nothing #}\n").expect("written");
    let scope = Scope::new(&Language::new(Arc::new(Disk)), vec![folder.path().to_owned()]).over(vars(VARS));
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("lookup('csvfile', 'a b', file='t.csv', delimiter=',')", r#""1""#),
        ("lookup('csvfile', 'none', file='t.csv', delimiter=',', default=['x', 'y'])", r#""x,y""#),
        ("lookup('csvfile', file='t.csv')", "error: Search key is required but was not found"),
        ("lookup('csvfile', 'a file=t.csv other=1')", "error: other is not a valid option"),
        ("lookup('ini', 'sub', section='s', file='u.ini')", r#""/h/x""#),
        ("lookup('ini', 'sub', section='s', file='u.ini', interpolation=false)", r#""%(home)s/x""#),
        ("lookup('ini', 'x', section='t', file='u.ini', default=1)", "error: No section 't' in u.ini"),
        (
            "lookup('ini', 'name', section='l', file='t.ini', encoding='iso-8859-1')",
            "error: t.ini: the key 'bare' has no value; 'allow_no_value' permits that",
        ),
        (
            "lookup('ini', 'name', section='l', file='t.ini', encoding='latin1', allow_no_value=true)",
            "error: Duplicate option in 't.ini': option 'K' in section 'd' already exists",
        ),
        ("lookup('ini', 'name', section='l', file='t.ini', encoding='latin1', allow_no_value=true, case_sensitive=true)", r#""été""#),
        ("lookup('ini', 'bare', section='s', file='t.ini', encoding='latin1', allow_none=true, case_sensitive=true)", "[]"),
        ("lookup('template', 'none.j2') is none", "true"),
        ("query('sequence')", "[]"),
        ("query('sequence', count=2)", r#"["1","2"]"#),
        (
            "query('subelements', 1, 'x')",
            "error: subelements lookup expects a list of two or three items, first a dict or a list, second a string pointing to the subkey",
        ),
        ("query('subelements', [{'n': 1, 'skipped': true}, {'l': [1]}], 'l') | length", "1"),
        (
            "query('varnames', '*')",
            "error: Unable to use \"*\" as a search parameter: invalid operation: invalid regular expression '*': nothing to repeat",
        ),
        ("query('first_found', 1)", "error: Invalid term supplied. A string, dict or list is required, not 'int')."),
        ("query('first_found', files=nowhere_at_all)", "error: 'nowhere_at_all' is undefined"),
        ("lookup('vars', 'nowhere_at_all', default=1)", "1"),
        ("'text' | rekey_on_member('a')", "error: Type is not a valid list, set, or dict"),
        ("5 | rekey_on_member('a')", "error: Type is not a valid list, set, or dict"),
        ("lookup('vars', 'nowhere_at_all')", "error: 'nowhere_at_all' is undefined: No variable named 'nowhere_at_all' was found."),
    ] {
        let found = expression(&scope, source);
        if !found.starts_with(expect) || !expect.starts_with("error") && found != expect {
            wrong.push(format!("{source}: {found}, not {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mappings_of_several_places_are_merged_where_that_is_wished() {
    let layers =
        [vars("m: {a: 1, deep: {x: 1}, l: [1]}\nn: 1\n"), vars("m: {b: '{{ n + 1 }}', deep: {y: 2}, l: [2]}\nn: 2\n"), vars("m: {a: 3}\n")];
    for (merges, expect) in [(false, r#"{"a":3}"#), (true, r#"{"a":3,"b":3,"deep":{"x":1,"y":2},"l":[2]}"#)] {
        let scope = Scope::new(&Language::speaking(Arc::new(Disk), Dialect { merges, ..Dialect::default() }), vec![])
            .over(layers[0].clone())
            .over_all(layers[1..].to_vec());
        let sorted = |text: String| serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        assert_eq!(sorted(text(&scope, "{{ m }}")), sorted(expect.to_owned()), "{merges}");
        assert_eq!(text(&scope, "{{ n }}"), "2");
    }
}

/// As Python's sets and lists do; the sealed text is what ansible-core 2.19 made of the same words.
#[test]
fn values_without_a_hash_are_compared_one_by_one_and_words_are_sealed() {
    let scope = scope(VARS);
    let mut wrong = Vec::new();
    for (source, expect) in [
        ("['a', 'A'] | unique", r#"["a"]"#),
        ("['a', 'A', {}, {}] | unique", r#"["a","A",{}]"#),
        ("[{'n': 1}, {'n': 1}] | unique(case_sensitive=true)", r#"[{"n":1}]"#),
        ("'x' | vault('word') | unvault('word')", r#""x""#),
        ("'x' | unvault('word')", r#""x""#),
        ("'x' | vault('word', vault_id='prod') | regex_search('.*')", r#""$ANSIBLE_VAULT;1.2;AES256;prod""#),
        ("users | map(attribute='name')", "error: a value is undefined"),
        ("users | map(attribute='name') | list", "error: a value that is used here is undefined"),
        ("nowhere | list", "error: 'nowhere' is undefined"),
        ("name | human_readable", "error: human_readable() failed on bad input: '>=' not supported between instances of 'str' and 'int'"),
        ("[] | max | default('none')", r#""none""#),
    ] {
        compare(&mut wrong, source, &expression(&scope, source), expect);
    }
    for source in
        ["[{}] | unique(case_sensitive=false)", "[{'n': []}] | unique(attribute='n')", "'x' | vault('a') | unvault('b')", "1 | vault('a')"]
    {
        assert!(expression(&scope, source).starts_with("error: "), "{source}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let problem =
        Expression::parse("map.b.nope ~ ''", &place()).and_then(|expression| expression.evaluate(&scope)).expect_err("is undefined");
    assert_eq!(problem.to_string(), "play.yml:3:7: 'map.b.nope' is undefined, since object of type 'dict' has no attribute 'nope'");
    assert!(problem.is_undefined());
}
