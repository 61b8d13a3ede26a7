// The page: its buttons, its language, and what is shown when.
export {};
