"""How answers are shown: pages, words, replies, files of tables."""
