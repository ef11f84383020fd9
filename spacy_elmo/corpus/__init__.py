"""From texts to a corpus of word types: tokenised once, mapped into memory."""
