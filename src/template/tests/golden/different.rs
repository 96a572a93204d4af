// Each reason, and the expressions and documents that it concerns.
&[
    ("the golden run had no collections; we have their filters and lookups", &["ip | ansible.utils.ipaddr", "query('flattened', [1, [2, [3]]], 4)"]),
    ("the default is documented, but 2.19 fails before it", &["users|groupby('admin',default=false)|list"]),
    ("2.19 compares by identity: it counts in a lazy list and finds nothing", &["l.count(3)", "l.count(1)", "n is sameas(5)"]),
    ("the golden run had no play: there, `vars` exists and `omit` is left out by who asks", &[
        "vars.n", "vars['s']", "vars.lazy.a", "vars | type_debug", "'a' in vars", "omit", "zz | default(omit)",
    ]),
    ("1 and true are one key in Python, two here", &[
        "{1:2,true:3,none:4}|to_json", "{1: 'a', 2.5: 'b', true: 'c', none: 'd'}", "{1: 2, none: 3, true: 4, 1.5: 5} | to_json",
        "{1: 2, none: 3, true: 4} | to_nice_yaml(sort_keys=false)",
    ]),
    ("integers have 128 bits, in JSON 64", &["big * big * big", "2 ** 100", "'12345678901234567890123' | from_json"]),
    ("constants are compared when compiled, by minijinja's order", &["'a' < 1", "none < 1", "1 in 'abc'"]),
    ("minijinja's grammar lacks it", &["+n", "{% for i in \"a\", \"b\" %}{{ i }}{% endfor %}"]),
    ("minijinja's macros take no further arguments, and give text", &[
        "{% macro m(a, b='x') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }} {{ m(1, 2) }}",
        "{% macro outer() %}{{ n }}{% endmacro %}{% set n = 9 %}{{ outer() }}",
    ]),
    ("ranges and groups are lists here, and differences of dates can be put out", &[
        "range(3)", "range(3) | type_debug", "users | groupby('age')", "('2024-01-02' | to_datetime('%Y-%m-%d')) - ('2024-01-01' | to_datetime('%Y-%m-%d'))",
    ]),
    ("what a template did not make, it cannot change", &["l.append(4)", "d.pop('b')", "d.update({'x': 1})"]),
    ("a changed mapping shows every change here, in 2.19 only those by some methods; None counts as no output there", &[
        "{% set x = {'a': 1} %}{% set _ = x.__setitem__('b', 2) %}{{ x.items() | list }}{{ x.pop('a') }}{{ x }}",
        "{% set l2 = [] %}{% for i in [1,2] %}{{ l2.append(i) }}{% endfor %}{{ l2 }}",
    ]),
    ("more is allowed here: break and continue, methods' names as keys, a line ending for the whole file", &[
        "{% for i in l %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
        "{% for i in l %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}",
        "{{ loop is defined }}{% for i in l %}{{ loop is defined }}{% break %}{% endfor %}",
        "{'items': 1}.items", "{'get': 1}.get", "{'keys': [1]}.keys",
        "#jinja2: newline_sequence: '\\r\\n'\na\nb\n",
    ]),
    ("names of variables come sorted", &["lookup('varnames', '^l')", "query('varnames', '^dd', 's$')"]),
    ("undefined elements of a list are found when used", &["users | map('extract', ['age', 'name'])"]),
    ("methods, filters and arguments that no playbook of ours uses", &[
        "s.translate({72: 'J'})", "n.bit_length()", "f.is_integer()", "n.real", "s | hash('blake2b')", "s | hash('sha3_256')", "d | xmlattr",
        "'١٢' | int", "'$ANSIBLE_VAULT;1.1;AES256' is vault_encrypted", "[uni] | to_nice_yaml(allow_unicode=false)",
        "d | to_nice_yaml(default_style='\"')", "d | to_nice_yaml(line_break='\\r\\n')", "d | to_nice_yaml(canonical=true)",
        "dd | to_nice_yaml(default_style='|')",
    ]),
    ("YAML is written without anchors", &["[l, l] | to_nice_yaml", "{'a': l, 'b': l, 'c': d, 'e': d} | to_nice_yaml"]),
    ("duplicate keys are refused, with both places", &["a: 1\na: 2\n", "a: {b: 1, b: 2}\n", "{\"a\": 1, \"a\": 2}\n"]),
    ("templates are compiled when read, not when used", &["a: \"{% raw %}\"\n"]),
    ("tags that no playbook uses", &[
        "k: !!binary aGVsbG8=\n", "!!binary aGVsbG8=\n", "- !!binary aGVsbG8=\n- end\n", "k: !!set {a, b}\n", "!!set {a, b}\n",
        "- !!set {a, b}\n- end\n", "k: !!omap [a: 1, b: 2]\n", "!!omap [a: 1, b: 2]\n", "- !!omap [a: 1, b: 2]\n- end\n",
        "k: !!pairs [a: 1, a: 2]\n", "!!pairs [a: 1, a: 2]\n", "- !!pairs [a: 1, a: 2]\n- end\n",
    ]),
    ("the scanner reads YAML 1.2: it is stricter about white space, more lenient about the rest", &[
        "a:\t1\n", "a: \"x\"# c\n", "k: [?a]\n", "[?a]\n", "- [?a]\n- end\n", "...\n", ":\n", "- :\n- end\n", "\ta\n", "- \ta\n- end\n",
        "\ta: 1\n", "a: 1\n...\nb: 2\n",
    ]),
    ("'=', '<<' and dates are texts where PyYAML or Ansible fails", &[
        "k: =\n", "=\n", "- =\n- end\n", "k: <<\n", "<<\n", "- <<\n- end\n", "c: {<<: }\n", "2024-01-01: a\n", "- 2024-01-01: a\n- end\n",
    ]),
]
