"""Whether a model answers as it should: cases, their judgement, a page to look at, and the gate of a deploy."""
