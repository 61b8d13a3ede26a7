// One liveness check of the page, from a camera or a file to the facts about it.
export {};
