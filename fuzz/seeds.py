#!/usr/bin/env python3
"""First inputs for the fuzz targets, from testdata and from what the web and rules ship: seeds.py CORPUS_DIR."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
corpus = pathlib.Path(sys.argv[1])
data = root / "testdata"


def put(target, name, contents):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(contents if isinstance(contents, bytes) else contents.encode())


for page in (data / "exposition").iterdir():
    if page.suffix in (".prom", ".om"):
        put("exposition", page.name, page.read_bytes())
put("exposition_protobuf", "counter", bytes.fromhex("0f0a0361626322080a060a0178120179"))
put("exposition_protobuf", "both", bytes.fromhex(
    "3d0a0168180422360a060a01611201623a2c0804110000000000000c401a0b080111000000000000e03f31fca9f1d24d6250"
    "3f6204080110036a03020201"))
for body in (data / "ingest").glob("*.snappy"):
    put("remote_write", body.name, body.read_bytes())
put("remote_write", "one", bytes.fromhex("0a1a0a0e0a085f5f6e616d655f5f120275700a00120809000000000000f03f"))

queries = set()
for script in (data / "promql").glob("*.test"):
    queries |= set(re.findall(r"^eval \S+ .*?(?:at|step) \S+ (.*)$", script.read_text(), re.M))
rules = [path for path in (root / "rules").rglob("*.yml")]
for path in rules:
    text = path.read_text()
    put("yaml", path.name, text)
    put("config", path.name, text)
    queries |= set(re.findall(r"^\s*-?\s*expr: (.+)$", text, re.M))
    for number, template in enumerate(re.findall(r"\"([^\"\n]*\{\{[^\"\n]*)\"|'([^'\n]*\{\{[^'\n]*)'", text)):
        put("template", f"{path.stem}-{number}", "".join(template))
for number, query in enumerate(sorted(queries)):
    put("promql", str(number), query)

put("template", "blocks", "{{ define \"x\" }}{{ . }}{{ end }}{{ range $i, $e := args 1 2 }}{{ template \"x\" $e }}{{ else }}-{{ end }}")
put("template", "pipes", "{{ with $value }}{{ . | humanize | printf \"%5.2f %q\" }}{{ end }}{{ if gt $value 0.5 }}a{{ end }}")
put("config", "prometheus", "global: {scrape_interval: 15s, external_labels: {a: b}}\nscrape_configs:\n- job_name: j\n"
    "  static_configs: [{targets: ['a:1'], labels: {x: y}}]\n  relabel_configs: [{source_labels: [a], regex: 'x(.*)', target_label: b}]\n"
    "rule_files: ['*.yml']\ncairn: {multitenancy: on, limits: {tenants_max: 5}}\n")
put("config", "alertmanager", "route: {receiver: r, group_by: [a], routes: [{matchers: ['a=\"b\"'], receiver: r}]}\n"
    "receivers: [{name: r, webhook_configs: [{url: 'http://x/y'}]}]\n")
put("yaml", "kinds", "a: &x [1, 2.5, 'q', \"\\u00e9\", ~, true]\nb: *x\nc: |\n  text\n   more\nd: >-\n  folded\n  text\n")

for path in (data / "format" / "v1").rglob("*"):
    if not path.is_file() or not path.stat().st_size:
        continue
    contents, name = path.read_bytes(), "-".join(path.relative_to(data / "format" / "v1").parts)
    if path.parent.name == "wal":
        put("wal_segment", name, contents)
        at = contents.find(b"\xc4\x17\xfe\xed")
        while at >= 0:
            length = int.from_bytes(contents[at + 4:at + 8], "little")
            put("wal_payload", f"{name}-{at}", contents[at + 24:at + 24 + length])
            at = contents.find(b"\xc4\x17\xfe\xed", at + 24)
    elif path.name == "meta":
        put("block_meta", name, contents[:-4])
    elif path.name == "index":
        put("block_index", name, contents[:-4])
    elif path.name == "chunks":
        put("chunk", name, b"\x05\x00" + contents[24:])
