"""experiments/datasets.py: the formats of labelled data, and how they are split."""

import json
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin

from experiments import datasets
from experiments.datasets import read_conllu, read_docs, read_senses
from tests.conftest import REPOSITORY, shared
from tests.experiments.helpers import UPOS, convert_demo, run


def test_convert_keeps_entities_and_categories(tmp_path: Path) -> None:
    source = REPOSITORY / "assets" / "demo" / "dev.jsonl"
    convert_demo("dev", tmp_path / "dev.spacy")
    items = [json.loads(line) for line in source.read_text("utf8").splitlines()]
    found = {
        doc.text: ([(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents], doc.cats)
        for doc in read_docs(tmp_path / "dev.spacy")
    }
    assert len(found) == len(items)
    for item in items:
        spans, cats = found[item["text"]]
        assert spans == [(span["start"], span["end"], span["label"]) for span in item["spans"]]
        assert cats[item["category"]] == 1.0
        assert sum(cats.values()) == 1.0


def test_convert_splits_by_share_and_seed(tmp_path: Path) -> None:
    outputs = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        words = ["--share", "0.25", "--seed", seed, "--rest", str(tmp_path / f"{name}-rest.spacy")]
        convert_demo("train", tmp_path / f"{name}.spacy", *words)
        outputs.append([doc.text for doc in read_docs(tmp_path / f"{name}.spacy")])
        rest = [doc.text for doc in read_docs(tmp_path / f"{name}-rest.spacy")]
        assert abs(len(outputs[-1]) - 70) <= 2
        assert not set(outputs[-1]) & set(rest)
        assert len(outputs[-1]) + len(rest) == 280
    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]


def test_convert_column_formats(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(
        "Empire\tB-location\nState\tI-location\n.\tO\n\t\nFrom\tO\nAHFA\tB-group\n", "utf8"
    )
    (tmp_path / "a.iob2").write_text("# text = x\n1\tTampa\tB-LOC\t-\ta\n2\tbay\tI-LOC\t-\ta\n3\t!\tO\t-\ta\n", "utf8")
    for name in ("conll", "iob2"):
        run(datasets, name, tmp_path / f"a.{name}", tmp_path / f"{name}.spacy")
    first, second = read_docs(tmp_path / "conll.spacy")
    assert [(ent.text, ent.label_) for ent in first.ents] == [("Empire State", "location")]
    assert [(ent.text, ent.label_) for ent in second.ents] == [("AHFA", "group")]
    (third,) = read_docs(tmp_path / "iob2.spacy")
    assert [(ent.text, ent.label_) for ent in third.ents] == [("Tampa bay", "LOC")]


def test_convert_keeps_documents_together(tmp_path: Path) -> None:
    lines = [f"# newdoc id = {d}\n1\tword{d}\tO\n\n1\tword{d}\tO\n\n1\tword{d}\tO\n" for d in range(20)]
    (tmp_path / "a.iob2").write_text("\n".join(lines), "utf8")
    words = [tmp_path / "taken.spacy", "--share", "0.5", "--rest", tmp_path / "rest.spacy"]
    run(datasets, "iob2", tmp_path / "a.iob2", *words)
    taken, rest = ([doc.text for doc in read_docs(tmp_path / name)] for name in ("taken.spacy", "rest.spacy"))
    assert (len(taken), len(rest)) == (30, 30)
    assert not set(taken) & set(rest)


def test_convert_japanese_leaves_out_what_is_no_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sudachipy", reason="takes Sudachi: pip install -e '.[ja]'")
    lines = [
        {"text": "織田信長は尾張国で生まれた。", "entities": [[0, 4, "人名"], [5, 8, "地名"]]},
        {"text": "東京都に住む。", "entities": [[0, 1, "地名"]]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf8")
    run(datasets, "japanese", path, tmp_path / "a.spacy")
    docs = list(DocBin().from_disk(tmp_path / "a.spacy").get_docs(spacy.blank("ja").vocab))
    assert [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs] == [
        [("織田信長", "人名"), ("尾張国", "地名")],
        [],
    ]
    assert [doc.text for doc in docs] == [line["text"] for line in lines]
    assert "1 entities are no whole tokens" in capsys.readouterr().out


def test_convert_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"absent\.conll: no such file.*spacy project assets"):
        run(datasets, "conll", tmp_path / "absent.conll", tmp_path / "out.spacy")


def test_convert_reads_the_real_sets(tmp_path: Path) -> None:
    """The counts that the sets' publishers give."""
    folder = shared("data", "labelled", "ner")
    run(datasets, "conll", folder / "wnut17" / "train.conll", tmp_path / "w.spacy")
    assert (len(docs := read_docs(tmp_path / "w.spacy")), sum(map(len, docs))) == (3394, 62730)
    run(datasets, "iob2", folder / "uner_ewt" / "test.iob2", tmp_path / "u.spacy")
    assert (len(docs := read_docs(tmp_path / "u.spacy")), sum(map(len, docs))) == (2077, 25097)


def test_convert_reads_the_real_danish_set(tmp_path: Path) -> None:
    """The counts that its publishers give."""
    run(datasets, "iob2", shared("data", "labelled", "ner", "uner_danish_ddt", "dev.iob2"), tmp_path / "d.spacy")
    assert (len(docs := read_docs(tmp_path / "d.spacy")), sum(map(len, docs))) == (564, 10332)


# What layers are probed with


def test_conllu_without_ranges_and_empty_nodes(tmp_path: Path) -> None:
    rest = "\t_\t_\t_\t_\t_\t_"
    rows = [
        "# text = vámonos",
        f"1-2\tvámonos\t_\t_{rest}",
        f"1\tvamos\t_\tVERB{rest}",
        f"2\tnos\t_\tPRON{rest}",
        f"2.1\tx\t_\tX{rest}",
        "",
        f"1\ta b\t_\tNOUN{rest}",
    ]
    (tmp_path / "a.conllu").write_text("\n".join(rows), "utf8")
    first, second = read_conllu(tmp_path / "a.conllu")
    assert (first.words, first.tags) == (["vamos", "nos"], ["VERB", "PRON"])
    assert (second.words, second.tags) == (["a b"], ["NOUN"])


def test_reads_a_real_treebank() -> None:
    sentences = read_conllu(shared("data", "labelled", "pos", "ud_japanese_gsd", "test.conllu"))
    assert (len(sentences), sum(len(each.words) for each in sentences)) == (543, 13034)
    assert {tag for each in sentences for tag in each.tags} <= UPOS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a b", r"a\.txt, line 1: CoNLL-U has 10 columns"),
        ('{"word": "a", "sense": "a.x"}', r"a\.txt, line 1: must be"),
        ("[1]", r"a\.txt, line 1: must be"),
        ('{"word": "bat", "sense": "bat.x", "text": "a bat and a bat"}', r"a\.txt, line 1: 'bat' must stand once"),
    ],
)
def test_says_which_line_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(text, "utf8")
    read = read_conllu if text.startswith("1") else read_senses
    with pytest.raises(SystemExit, match=message):
        read(tmp_path / "a.txt")
    with pytest.raises(SystemExit, match=r"absent: no such file"):
        read(tmp_path / "absent")


def test_a_part_of_a_split_is_not_in_the_order_of_categories(tmp_path: Path) -> None:
    """Who reads its first texts alone, as a limited dev set is read, finds all categories."""
    file = tmp_path / "texts.csv"
    file.write_text("text,category\n" + "".join(f"text {i},{'abcd'[i % 4]}\n" for i in range(80)), "utf8")
    for part in datasets.split(list(datasets.read_csv(file)), 0.5, seed=0):
        assert {category for doc in part[:20] for category in doc.cats} == {"a", "b", "c", "d"}
