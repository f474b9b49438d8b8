# Reads device.h and kernels.h and writes the rows of deferred.c: one that keeps its arguments for
# later, or, where a number is returned, one that waits; and deferred_fill_rows, which enters them.
#
# Addresses in device memory are kept as they are. An argument that is an array in host memory is
# copied, since a row reads it before it returns: HOST says how many elements it has.

BEGIN {
    RS = ";"
    HOST["const float *mean"] = HOST["const float *std"] = "g.channels"
    HOST["const Segment *list"] = "count"
    split("copy zero swap", names, " ") # of DeviceMemory; deferred.c writes the others
    for (i in names) memory[names[i]] = 1
}

{
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ") # comments
    gsub(/[ \t\n]+/, " ")
}

/typedef struct Kernels/ { table = "kernels." }
/typedef struct DeviceMemory/ { table = "memory->" }
/}/ && !/{/ { table = "" }

table && match($0, /(void|double) \(\*[a-z_0-9]+\)\(Device \*d, .*\)/) {
    type = substr($0, RSTART, index(substr($0, RSTART), " ") - 1)
    row = substr($0, RSTART, RLENGTH - 1)
    row = substr(row, index(row, "(*") + 2)
    name = substr(row, 1, index(row, ")") - 1)
    parameters = substr(row, index(row, "(Device *d, ") + 12)
    if (table == "memory->" && !(name in memory)) next
    n = split(parameters, parameter, ", ")
    fields = values = kept = ""
    for (i = 1; i <= n; i++) {
        value = parameter[i]
        sub(/.*[ *]/, "", value)
        fields = fields parameter[i] "; "
        values = values ", " value
        kept = kept ", c->" value
        if (parameter[i] in HOST)
            keep[name] = keep[name] "    call." value " = keep(" value ", (size_t)" \
                HOST[parameter[i]] " * sizeof *" value ");\n"
    }
    if (table == "kernels.") fill = fill "    k->" name " = " name "_deferred;\n"
    if (type == "void") {
        print "struct " name "_call { " fields "};"
        print "static void " name "_now(const void *call) {"
        print "    const struct " name "_call *c = call;"
        print "    below->" table name "(below" kept ");\n}\n"
    }
    print "static " type " " name "_deferred(Device *d, " parameters ") {\n    (void)d;"
    if (type != "void") {
        print "    wait_for_all();\n    " type " result = below->" table name "(below" values ");"
        print "    lock_memory();\n    return result;\n}\n"
        next
    }
    print "    struct " name "_call call = {" substr(values, 3) "};"
    printf "%s", keep[name]
    print "    later(" name "_now, &call, sizeof call);\n}\n"
}

END { print "static void deferred_fill_rows(Kernels *k) {\n" fill "}" }
