/* Stands for an optional package that its importer tests before use. */
module.exports = null;
