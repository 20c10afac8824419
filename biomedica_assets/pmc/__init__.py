"""What PMC serves: releases in both layouts, article objects, packing. Not what an article says (`jats/`)."""
