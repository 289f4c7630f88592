/** Stands for a package that cannot be carried and that its importers know how to do without: its parts are not there. */
export default undefined;
