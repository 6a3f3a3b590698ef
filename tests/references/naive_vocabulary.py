"""Discretized Integrated Gradients' paths, word by word and in NumPy, from the equations."""

import numpy as np


def between(word, end, start):
    """Whether each coordinate is monotone from end to word to start."""
    falls, rises, stays = end > start, end < start, end == start
    return (
        (falls & (word <= end) & (word >= start))
        | (rises & (word >= end) & (word <= start))
        | (stays & (word == end) & (word == start))
    )


def monotone(word, end, start, m):
    copy = word.copy()
    off = ~between(word, end, start)
    copy[off] = end[off] - (end[off] - start[off]) / m
    return copy


def neighbor_lists(table, k):
    """The k nearest other words of each word, nearest first."""
    lists = []
    for word in range(len(table)):
        distances = [(np.sqrt(((table[word] - table[j]) ** 2).sum()), j) for j in range(len(table)) if j != word]
        lists.append([j for _, j in sorted(distances)[:k]])
    return lists


def chain(table, lists, word, baseline, m, strategy):
    """The words from the input's on; the baseline's id where no word is left."""
    path = [word]
    for _ in range(m):
        last = path[-1]
        if last == baseline:
            path.append(baseline)
            continue
        scores = {}
        for j in lists[last]:
            if j == baseline or j in path:
                continue
            if strategy == "greedy":
                moved = monotone(table[j], table[last], table[baseline], m)
                scores[j] = np.sqrt(((table[j] - moved) ** 2).sum())
            else:
                scores[j] = -between(table[j], table[last], table[baseline]).sum()
        path.append(min(scores, key=scores.get) if scores else baseline)
    return path


def on_line(table, word, baseline, m):
    """The words nearest to even points of the straight line, from the input's on."""
    path = [word]
    for k in range(m, 0, -1):
        point = table[baseline] + k / (m + 1) * (table[word] - table[baseline])
        path.append(int(np.argmin(((table - point) ** 2).sum(1))))
    return path


def corners(table, path, baseline, m):
    """The path's corners (m + 2, D), from the baseline to the input."""
    points = [table[path[0]]]
    for word in path[1:]:
        points.append(monotone(table[word], points[-1], table[baseline], m))
    points.append(table[baseline])
    return np.array(points[::-1])
