/** The most letters that a reason or a conclusion may have, wherever it is given. */
export const REASON_LETTERS = 500;
