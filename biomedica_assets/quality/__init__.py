"""What a paragraph is worth for training: type, domain and educational score, in two stages as in Biomed-Enriched.

A teacher labels few paragraphs (a language model behind an endpoint, a file, or rules), and a small linear classifier
learnt from it labels all. Belongs here: teachers, their labels, the classifier, table `paragraph_quality`. What does
not belong here: which paragraphs a product wants (`dataset`).
"""
