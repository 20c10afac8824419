# fmt: off
# ruff: noqa: E501 - sentences
"""Original filler prose of the sample articles: biomedical paragraphs put together from our own sentences.

Every name, number and finding is invented. Here belongs text only; where figures are cited is written in the
article definitions, sentence by sentence, because tests compare those.
"""

from __future__ import annotations

import random
import re
from typing import NamedTuple


class Topic(NamedTuple):
    """Words that fill the sentences. Plain text, no markup."""

    disease: str
    organ: str
    gene: str
    pathway: str
    drug: str
    comparator: str
    model: str
    cohort: str
    method: str
    outcome: str
    keywords: tuple[str, ...]


TOPICS: dict[str, Topic] = {
    "renal": Topic("diabetic kidney disease", "kidney", "NPRX2", "podocyte stress", "velagliptide", "placebo",
                   "db/db mice", "adults with albuminuria", "bulk RNA sequencing", "estimated filtration rate",
                   ("Diabetic Nephropathies", "Podocytes", "Albuminuria")),
    "cardio": Topic("heart failure with preserved ejection fraction", "left ventricle", "TNCL1", "titin stiffness",
                    "corvastin", "standard care", "aged spontaneously hypertensive rats",
                    "patients referred for exertional dyspnoea", "speckle-tracking echocardiography",
                    "peak oxygen uptake", ("Heart Failure", "Stroke Volume", "Echocardiography")),
    "onco": Topic("pancreatic ductal adenocarcinoma", "pancreas", "MKR17", "stromal signalling", "tarunib",
                  "gemcitabine", "patient-derived xenografts", "patients with resectable tumours",
                  "multiplex immunofluorescence", "progression-free survival",
                  ("Carcinoma, Pancreatic Ductal", "Tumor Microenvironment", "Fibroblasts")),
    "neuro": Topic("relapsing multiple sclerosis", "spinal cord", "OLGA4", "remyelination", "mirecarb",
                   "interferon beta", "cuprizone-fed mice", "newly diagnosed adults",
                   "magnetisation transfer imaging", "lesion volume",
                   ("Multiple Sclerosis", "Myelin Sheath", "Oligodendroglia")),
    "infect": Topic("multidrug-resistant tuberculosis", "lung", "RVX3", "granuloma necrosis", "bedolizid",
                    "the standard regimen", "guinea pigs", "adults starting second-line treatment",
                    "whole-genome sequencing", "time to culture conversion",
                    ("Tuberculosis, Multidrug-Resistant", "Granuloma", "Drug Resistance, Bacterial")),
    "derm": Topic("chronic plaque psoriasis", "skin", "KRTA9", "keratinocyte turnover", "elovimab", "vehicle cream",
                  "imiquimod-treated mice", "outpatients with moderate plaques", "reflectance confocal microscopy",
                  "plaque severity score", ("Psoriasis", "Keratinocytes", "Severity of Illness Index")),
    "gastro": Topic("ulcerative colitis", "colon", "MUCL5", "epithelial barrier repair", "senobiotic LX-4",
                    "mesalazine", "dextran sulphate-treated mice", "adults in clinical remission",
                    "shotgun metagenomics", "endoscopic healing",
                    ("Colitis, Ulcerative", "Intestinal Mucosa", "Gastrointestinal Microbiome")),
    "eye": Topic("geographic atrophy", "retina", "RPEX1", "complement activation", "ocuvastat", "sham injection",
                 "light-damaged albino rats", "adults over sixty years", "optical coherence tomography",
                 "area of atrophy", ("Geographic Atrophy", "Retinal Pigment Epithelium", "Complement System Proteins")),
    "bone": Topic("post-menopausal osteoporosis", "trabecular bone", "SCLR8", "osteoblast recruitment", "ostarel",
                  "alendronate", "ovariectomised rats", "women with vertebral fractures",
                  "micro-computed tomography", "bone mineral density",
                  ("Osteoporosis, Postmenopausal", "Osteoblasts", "Bone Density")),
    "plant": Topic("wheat leaf rust", "flag leaf", "LRX21", "salicylate signalling", "a seaweed extract",
                   "untreated plots", "near-isogenic wheat lines", "twelve field sites",
                   "genotyping by sequencing", "grain yield",
                   ("Triticum", "Plant Diseases", "Disease Resistance")),
    "health": Topic("unplanned hospital readmission", "primary care", "the referral score", "care coordination",
                    "nurse-led follow-up", "usual discharge planning", "simulated wards",
                    "older adults with several conditions", "interrupted time-series analysis",
                    "thirty-day readmission", ("Patient Readmission", "Aftercare", "Primary Health Care")),
    "chem": Topic("drug-induced liver injury", "liver", "CYPQ2", "bile acid export", "compound 7b",
                  "the parent scaffold", "three-dimensional hepatocyte cultures", "healthy volunteers",
                  "high-resolution mass spectrometry", "alanine aminotransferase",
                  ("Chemical and Drug Induced Liver Injury", "Bile Acids and Salts", "Hepatocytes")),
}

_SENTENCES: dict[str, tuple[str, ...]] = {
    "intro": (
        "{Disease} remains a leading reason for long-term disability, and its burden is rising in most regions.",
        "Current treatment slows but rarely halts the loss of function in the {organ}.",
        "Over the past decade, several groups have linked {gene} to {pathway}, although the direction of the effect is disputed.",
        "Earlier work from our group suggested that {drug} acts early, before structural changes become visible.",
        "Most trials so far have enrolled fewer than {n2} participants and followed them for less than {k} months.",
        "A reliable marker of early damage would allow treatment to be tailored to the individual.",
        "The mechanism that couples {pathway} to tissue loss in the {organ} is only partly understood.",
        "Observational data from {cohort} point in the same direction, but confounding cannot be excluded.",
        "Here, we asked whether {drug} changes {outcome} and through which steps it might do so.",
        "We hypothesised that suppression of {gene} would be sufficient to restore normal architecture.",
        "A second aim was to test whether {method} can detect the response within weeks.",
        "Although guidelines mention {comparator} as first choice, the evidence behind this advice is thin.",
    ),
    "methods": (
        "We enrolled {cohort} at {k} centres between January and November, after written informed consent.",
        "The protocol was approved by the ethics committee of the coordinating centre (approval {n4}/{k}).",
        "Participants were assigned in a {k2}:1 ratio to {drug} or {comparator} with a computer-generated list.",
        "Animals were housed at 21 °C with a 12 h light cycle and free access to water.",
        "For {method}, samples were snap-frozen, stored at −80 °C and processed in batches of {n2}.",
        "Sections of the {organ} were cut at {k} µm and stained with haematoxylin and eosin.",
        "Two observers who were unaware of the allocation scored every image; disagreements were settled by a third.",
        "Expression of {gene} was normalised to two reference genes and is given as fold change.",
        "The primary end point was {outcome} at {n2} weeks.",
        "Groups were compared with linear mixed models with a random intercept for centre.",
        "Missing values were imputed {k} times by chained equations, and estimates were pooled.",
        "Two-sided P values below 0.05 were taken as significant, without adjustment for secondary outcomes.",
        "In {model}, treatment began at week {k} and continued until the end of the experiment.",
        "Power calculations assumed a standard deviation of {k}.{k2} and a drop-out of {n2}%.",
    ),
    "results": (
        "Of {n3} people screened, {n2} were included in the final analysis.",
        "Baseline characteristics were balanced between the groups, apart from a slightly higher age with {comparator}.",
        "{Outcome} improved by {n2}% (95% confidence interval {k2} to {n2b}) with {drug}.",
        "The effect was present by week {k} and persisted until the last visit.",
        "No such change was seen with {comparator}.",
        "In {model}, deletion of {gene} reproduced the main features within {k} weeks.",
        "Adverse events were mild and occurred in {k} participants in each group.",
        "The difference remained after adjustment for age, sex and baseline {outcome}.",
        "Staining of the {organ} showed fewer damaged areas and a more regular architecture.",
        "{Method} identified {n3} differing features, of which {n2} belonged to {pathway}.",
        "A sensitivity analysis that left out the largest centre gave nearly the same estimate.",
        "There was a graded relation between dose and response up to {n2} mg, and none beyond.",
        "Exploratory subgroup analyses did not reveal a clear modifier of the effect.",
    ),
    "discussion": (
        "These findings suggest that {drug} acts on {pathway} rather than on inflammation in general.",
        "The size of the effect is comparable with that reported for {comparator}, but it appeared sooner.",
        "Our results differ from those of an earlier, smaller trial that used a lower dose.",
        "A possible explanation is that {gene} is active only during a short window.",
        "Several limits should be kept in mind: the follow-up was short, and the sample came from few centres.",
        "Because {method} was performed only once per participant, we cannot separate baseline from change.",
        "The strength of the study is the blinded reading of all images by two observers.",
        "Whether the same holds outside {cohort} needs to be tested.",
        "If confirmed, monitoring of {outcome} could be replaced by a simpler measurement.",
        "Future studies should address the long-term safety of blocking {gene} in the {organ}.",
        "Taken together, the data support a larger trial with clinical end points.",
        "We did not collect data on cost, which will matter for uptake in {disease}.",
    ),
    "case": (
        "A {age}-year-old {person} presented with a {k}-week history of progressive complaints related to the {organ}.",
        "The medical history included well-controlled hypertension and a remote appendectomy; there was no family history of {disease}.",
        "On examination, the patient was afebrile, with a blood pressure of 1{n2}/7{k} mmHg and a regular pulse.",
        "Laboratory tests showed a haemoglobin of 1{k2}.{k} g/dL and a C-reactive protein of {n2} mg/L.",
        "Imaging raised the suspicion of {disease}, and the case was discussed in a multidisciplinary meeting.",
        "Treatment with {drug} was started at a low dose and increased over {k} weeks.",
        "At follow-up after {k} months, symptoms had resolved and the findings had nearly disappeared.",
        "The patient gave written consent to publication of the details and images.",
        "A biopsy of the {organ} was taken under local anaesthesia without complications.",
        "An alternative diagnosis was considered, because the course was unusually rapid.",
    ),
    "review": (
        "The literature on {disease} has grown roughly threefold since the first description of {gene}.",
        "Three lines of evidence connect {pathway} with the clinical picture: genetics, imaging and response to treatment.",
        "Genetic studies have placed {gene} upstream of {pathway}, yet penetrance differs widely between families.",
        "Imaging with {method} has become a standard tool, although cut-offs vary between laboratories.",
        "Early trials of {drug} were stopped for futility; later ones selected patients by biomarker and were more successful.",
        "A recurring problem is the lack of a common definition of {outcome}.",
        "{Comparator_} is still the reference in most guidelines, mainly because long-term data exist.",
        "Models such as {model} capture the acute phase well, but not the slow remodelling seen in people.",
        "We searched two databases for reports in any language and screened {n3} titles.",
        "In our view, the field would gain more from shared protocols than from another small cohort.",
        "Open questions include the best moment to treat, the role of age, and the meaning of partial response.",
    ),
}


def paragraphs(kind: str, count: int, topic: str, rng: random.Random, references: int = 0) -> list[str]:
    """``count`` paragraphs as XML text (no enclosing element), each of four to seven sentences.

    ``references`` > 0 sprinkles citations ``<xref ref-type="bibr" rid="R1">1</xref>`` up to that number.
    """
    pool: list[str] = []
    result = []
    for _ in range(count):
        sentences = []
        for _ in range(rng.randint(4, 7)):
            if not pool:
                pool = list(_SENTENCES[kind])
                rng.shuffle(pool)
            text = _fill(pool.pop(), TOPICS[topic], rng)
            if references and rng.random() < 0.3:
                n = rng.randint(1, references)
                text = f'{text[:-1]} [<xref ref-type="bibr" rid="R{n}">{n}</xref>].'
            sentences.append(text)
        result.append(" ".join(sentences))
    return result


def fill(text: str, topic: str, rng: random.Random) -> str:
    """Fill the slots of one caption or sentence."""
    return _fill(text, TOPICS[topic], rng)


_SLOT = re.compile(r"\{(\w+)\}")


def _fill(text: str, topic: Topic, rng: random.Random) -> str:
    numbers = {
        "k": lambda: rng.randint(3, 9), "k2": lambda: rng.randint(1, 3), "n2": lambda: rng.randint(12, 48),
        "n2b": lambda: rng.randint(50, 80), "n3": lambda: rng.randint(120, 980), "n4": lambda: rng.randint(1000, 9000),
        "age": lambda: rng.randint(24, 81), "person": lambda: rng.choice(("woman", "man")),
    }

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name in numbers:
            return str(numbers[name]())
        word: str = getattr(topic, name.rstrip("_").lower())
        return word[0].upper() + word[1:] if name[0].isupper() else word

    return _SLOT.sub(value, text)
