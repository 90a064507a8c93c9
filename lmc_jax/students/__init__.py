"""The two-layer model: loss, minima, descent, measures of one student or pair."""
