"""Inspections as values for the tests of every output: one that passes, one that fails, one full of hostile text."""

from dataclasses import replace

from sample_report import HOSTILE, LONG

from qaudit.values import FileDigest, Finding, Inspection, Surface, ToolRef

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = (FileDigest("a.gguf", 123, "ab" * 32), FileDigest("sub/b.bin", 5, "cd" * 32))


def passing() -> Inspection:
    """A folder with one GGUF, about which there is one thing worth knowing."""
    return Inspection(
        tool=ToolRef("qaudit", "0.1.0"),
        created="2026-11-21T23:00:00Z",
        duration_s=0.125,
        target="models/tiny",
        status="pass",
        fail_on="high",
        findings=(
            Finding("gguf/worth-knowing", "info", "Worth knowing", "a.gguf:general.name", "tiny", "nothing"),
        ),
        surfaces=(
            Surface("a.gguf", "gguf", "examined"),
            Surface("a.gguf", "weights", "skipped", "--deep reads the values"),
            Surface("sub/b.bin", "pickle", "examined"),
        ),
        files=FILES,
        facts={
            "kind": "folder", "format": "gguf", "architecture": "llama", "types": "Q4_K, F32",
            "name": "Tiny", "licence": "apache-2.0", "declared_base": "org/base",
            "template_sha256 a.gguf:tokenizer.chat_template default": "ef" * 32,
        },
    )  # fmt: skip


def failing() -> Inspection:
    """The same with a pickle that runs code, twice, and a template that hides something."""
    pickle = Finding(
        "pickle/unsafe-global", "critical", "Runs code when it is loaded", "sub/b.bin@byte 3", "os.system",
        "do not load it", ("CVE-2025-1716", "https://example.org/pickles", "a paper"),
    )  # fmt: skip
    return replace(
        passing(),
        status="fail",
        reference="org/base",
        findings=(
            pickle,
            replace(pickle, location="sub/b.bin@byte 9", evidence="posix.system"),
            Finding(
                "template/trigger", "high", "A trigger", "a.gguf:tokenizer.chat_template", "-a\n+b", "read it"
            ),
            *passing().findings,
        ),
    )


def inconclusive() -> Inspection:
    """The same with an archive that nobody could open, on a hub."""
    made = passing()
    return replace(
        made,
        target=f"hf://org/name@{COMMIT}",
        status="inconclusive",
        surfaces=(*made.surfaces, Surface("x.rar", "archive", "skipped", "RAR is not read")),
    )


def hostile() -> Inspection:
    """Names, texts and facts that attack whoever shows them."""
    finding = Finding(
        "pickle/odd", "high", HOSTILE, f"{HOSTILE}.bin: x", LONG, HOSTILE, (HOSTILE, "https://a b")
    )
    return replace(
        failing(),
        target=f"dir/{HOSTILE}",
        findings=(finding, replace(finding, location="elsewhere")),
        surfaces=(Surface(f"{HOSTILE}.bin", "pickle", "partial", HOSTILE),),
        files=(FileDigest(f"{HOSTILE}.bin", 1, "ab" * 32), FileDigest("b\udce9.gguf", 1, "cd" * 32)),
        facts={"kind": "folder", "name": HOSTILE, "licence": HOSTILE, "declared_base": HOSTILE, HOSTILE: LONG},
        reference=HOSTILE,
    )  # fmt: skip
