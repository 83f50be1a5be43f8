# The links of Markdown documents, for scripts that source this.
# shellcheck shell=sh

# prose DOCUMENT: without its blocks of code.
prose() {
    awk '/^```/ { code = !code; next } !code && !/^    /' "$1"
}

# The names under which a browser finds the headings of a document.
anchors() {
    prose "$1" | sed -n 's/^##* //p' | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9 _\n-' | tr ' ' '-'
}

# links DOCUMENT: what leads to other files of the tree, or to headings.
links() {
    prose "$1" | grep -o '](\([^)]*\))' | sed 's/^](//; s/)$//' | grep -v '^https\{0,1\}:'
}

# dead_links DOCUMENT: those that lead nowhere.
dead_links() {
    links "$1" | while read -r link; do
        path=${link%%#*}
        target=$1
        if [ -n "$path" ]; then
            target=$(dirname "$1")/$path
        fi
        case $link in
        *#*) anchors "$target" 2>/dev/null | grep -qxF -e "${link#*#}" || echo "$1: $link" ;;
        *) [ -e "$target" ] || echo "$1: $link" ;;
        esac
    done
}
