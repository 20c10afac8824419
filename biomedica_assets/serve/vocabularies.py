"""Where an entity's id can be looked up: the page of its vocabulary.

What does not belong here: which ids there are (the room `entities`).
"""

from __future__ import annotations

import re

_PAGES = {
    "MESH": ("MeSH", "https://meshb.nlm.nih.gov/record/ui?ui={local}"),
    "HGNC": ("HGNC", "https://www.genenames.org/data/gene-symbol-report/#!/hgnc_id/HGNC:{local}"),
    "MGI": ("MGI", "https://www.informatics.jax.org/accession/MGI:{local}"),
    "NCBIGENE": ("NCBI Gene", "https://www.ncbi.nlm.nih.gov/gene/{local}"),
    "NCBITAXON": ("NCBI Taxonomy", "https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?id={local}"),
    "CVCL": ("Cellosaurus", "https://www.cellosaurus.org/CVCL_{local}"),
    "CHEBI": ("ChEBI", "https://www.ebi.ac.uk/chebi/CHEBI:{local}"),
    **{
        prefix: (name, f"https://www.ebi.ac.uk/ols4/ontologies/{prefix.lower()}/classes?obo_id={prefix}:{{local}}")
        for prefix, name in (
            *(("MONDO", "MONDO"), ("DOID", "Disease Ontology"), ("UBERON", "Uberon"), ("CL", "Cell Ontology")),
            *(("GO", "Gene Ontology"), ("HP", "HPO"), ("EFO", "EFO")),
        )
    },
}
_CURIE = re.compile(r"([A-Za-z][A-Za-z0-9._]{0,30})[:_]([A-Za-z0-9._-]{1,60})", re.ASCII)


def page(identifier: str) -> tuple[str, str] | None:
    """Name of the vocabulary and address of the id's page there; of an unknown vocabulary that of a resolver.

    >>> page("MESH:D001943")
    ('MeSH', 'https://meshb.nlm.nih.gov/record/ui?ui=D001943')
    >>> page("FPLX:ERK"), page("no id")
    (('FPLX', 'https://bioregistry.io/fplx:ERK'), None)
    """
    match = _CURIE.fullmatch(identifier)
    if not match:
        return None
    prefix, local = match[1], match[2]
    name, address = _PAGES.get(prefix.upper(), (prefix, f"https://bioregistry.io/{prefix.lower()}:{{local}}"))
    return name, address.format(local=local)
