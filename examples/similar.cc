// How alike pictures are, in C++17: similar CHECKPOINT IMAGE IMAGE... prints the cosine of the first
// with each.
#include <mae.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

// What the library makes is freed with its owner, also when something is thrown.
template <typename T, void (*release)(T *)> struct Releaser {
    void operator()(T *p) const { release(p); }
};
using Model = std::unique_ptr<MaeModel, Releaser<MaeModel, mae_model_free>>;
using Session = std::unique_ptr<MaeSession, Releaser<MaeSession, mae_session_free>>;

static MaeError error;

static void check(MaeStatus status) {
    if (status != MAE_OK) throw std::runtime_error(error.message);
}

static std::vector<float> feature(MaeSession *session, const char *path) {
    MaeImage image;
    MaeTensor tensor;
    check(mae_image_load(path, nullptr, &image, &error));
    const MaeStatus status = mae_session_run(session, &image, 1, &error);
    mae_image_free(&image);
    check(status);
    check(mae_session_output(session, "features", &tensor, &error));
    const float *values = static_cast<const float *>(tensor.data);
    return std::vector<float>(values, values + tensor.dim[1]);
}

static void print_cosines(const char *checkpoint, const std::vector<const char *> &paths) {
    MaeModel *made = nullptr;
    check(mae_model_load(checkpoint, nullptr, nullptr, &made, &error));
    const Model model(made);
    MaeSession *planned = nullptr;
    check(mae_session_new(made, "features", 1, nullptr, &planned, &error));
    const Session session(planned);
    const std::vector<float> first = feature(planned, paths[0]);
    const auto width = static_cast<int64_t>(first.size());
    for (const char *path : paths) {
        int64_t row = 0;
        float cosine = 0;
        check(mae_nearest(made, feature(planned, path).data(), 1, first.data(), 1, width, 1, &row, &cosine,
                          &error));
        std::printf("%.4f %s\n", static_cast<double>(cosine), path);
    }
}

int main(int argc, char **argv) try {
    if (argc < 3) throw std::runtime_error("usage: similar CHECKPOINT IMAGE IMAGE...");
    print_cosines(argv[1], std::vector<const char *>(argv + 2, argv + argc));
} catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
