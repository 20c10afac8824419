"""The parser against the real articles of ../shared/corpus; every module but the hostile one skips without them."""
